import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { mutatedFiles } from './mutated-files.js'
import { keyOf, mutationsOf } from './mutations-of.js'
import { survivors } from './survivors.js'

const changesOf = (code: string) => mutationsOf('a.ts', code).map(({ after }) => after)

it.each<[kind: string, code: string, changes: string[]]>([
  ['a condition', 'if (a) b = c', ['if (true) b = c', 'if (false) b = c', 'if (!(a)) b = c', 'if (a) {}']],
  ['a comparison', 'a = b < c', ['', 'a = b <= c', 'a = b >= c']],
  ['a negation', 'a = !b', ['', 'a = b']],
  ['two conditions', 'a = b && c', ['', 'a = b || c', 'a = b', 'a = c']],
  ['a fallback', 'a = b ?? c', ['', 'a = b && c', 'a = b', 'a = c']],
  ['a sum', 'a = b - c', ['', 'a = b + c']],
  ['a step', 'a++', ['', 'a--']],
  ['a number', 'a = 2_000', ['', 'a = 0', 'a = 4000']],
  ['a call', 'a(b)', ['']],
  [
    'a method',
    'if (a === b.some(c)) d()',
    [
      'if (true) d()',
      'if (false) d()',
      'if (a !== b.some(c)) d()',
      'if (a === b.every(c)) d()',
      'if (a === b.some(c)) {}',
    ],
  ],
  ['an answer', 'const a = () => b', ['const a = () => undefined', 'const a = () => true']],
  ['a type, which is nothing', 'interface A { readonly b: 1 | 2 }', []],
])('changes %s', (_, code, changes) => {
  expect(changesOf(code)).toEqual(changes)
})

it('tells one change from the same change of the same line elsewhere, however the lines above it move', () => {
  const code = 'class A {\n  b() {\n    c()\n    c()\n  }\n  d() {\n    c()\n  }\n}\n'
  const keys = mutationsOf('a.ts', code).map(keyOf)
  expect(new Set(keys).size).toBe(3)
  expect(mutationsOf('a.ts', `// More.\n\n${code}`).map(keyOf)).toEqual(keys)
})

it('every explanation is of a change that there is, and each once', async () => {
  const sources = await Promise.all(mutatedFiles.map(file => readFile(file, 'utf8')))
  const keys = new Set(
    mutatedFiles.flatMap((file, index) => mutationsOf(file, String(sources[index])).map(keyOf)),
  )
  expect(survivors.map(keyOf).filter(key => !keys.has(key))).toEqual([])
  expect(new Set(survivors.map(keyOf)).size).toBe(survivors.length)
})
