import { readdir, readFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Architecture, checkArchitecture } from './support/architecture.js'

const RULES: Architecture = {
  // Lowest first. A file imports from lower floors and from its own folder, nothing else; types count.
  floors: [
    ['base'],
    ['observe'],
    ['cache', 'codec', 'redis'],
    ['indexes', 'bus'],
    ['sessions', 'nodes'],
    ['contracts', 'services', 'inbox'],
    ['connections', 'requests'],
    ['options', 'adapters'],
    ['assembly.ts', 'cluster-assembly.ts'],
    ['lifecycle.ts', 'cluster.ts'],
    ['queryable-store.ts'],
    ['store.ts'],
    ['index.ts'],
  ],
  // What is not listed is imported nowhere, frameworks above all. Types count, but may go further.
  packages: {
    'express-session': { values: ['queryable-store.ts'], types: ['store.ts', 'contracts/express.ts'] },
    ioredis: { values: ['redis/'], types: ['options/', 'store.ts'] },
    'cluster-key-slot': { values: ['redis/'] },
    'lru-cache': { values: ['cache/'] },
  },
  forbiddenNames: ['util', 'utils', 'helper', 'helpers', 'type', 'types', 'common', 'misc'],
  longestFile: 300,
  highestMedian: 120,
}

it('src keeps to its architecture', async () => {
  const problems = checkArchitecture(await readTree(join(import.meta.dirname, '../src')), RULES)
  expect(problems.join('\n')).toBe('')
})

describe('the check of the architecture', () => {
  const clean: Record<string, string> = {
    'base/clock.ts': 'export type Clock = () => number\n',
    'cache/cache.ts': "import { LRUCache } from 'lru-cache'\nimport type { Clock } from '../base/clock.js'\n",
    'redis/connection.ts': "import { Redis } from 'ioredis'\nimport { once } from 'node:events'\n",
    'options/options.ts':
      "import type { Redis } from 'ioredis'\nimport { type Cache } from '../cache/cache.js'\n",
    'contracts/express.ts': "import type { SessionData } from 'express-session'\n",
    'queryable-store.ts':
      "import { Store } from 'express-session'\nimport type { Options } from './options/options.js'\n",
    'store.ts': "import { QueryableStore } from './queryable-store.js'\n",
    'index.ts': "export { Store } from './store.js'\nexport type { Options } from './options/options.js'\n",
  }
  const check = (files: Record<string, string>) =>
    checkArchitecture(new Map(Object.entries({ ...clean, ...files })), RULES)

  it('finds nothing wrong with a clean tree', () => {
    expect(check({})).toEqual([])
  })

  it.each<[violation: string, files: Record<string, string>, problem: string]>([
    [
      'an import from a higher floor',
      { 'base/a.ts': "import { b } from '../bus/b.js'" },
      'base/a.ts: imports ../bus/b.js, but bus is above base',
    ],
    [
      'a type from a higher floor',
      { 'base/a.ts': "import type { B } from '../bus/b.js'" },
      'base/a.ts: imports ../bus/b.js, but bus is above base',
    ],
    [
      'a type from a higher floor written in place',
      { 'base/a.ts': "export type A = import('../bus/b.js').B" },
      'base/a.ts: imports ../bus/b.js, but bus is above base',
    ],
    [
      'an import at run time from a higher floor',
      { 'base/a.ts': "export const b = () => import('../bus/b.js')" },
      'base/a.ts: imports ../bus/b.js, but bus is above base',
    ],
    [
      'a re-export of a higher floor',
      { 'bus/a.ts': "export { Store } from '../store.js'" },
      'bus/a.ts: imports ../store.js, but store.ts is above bus',
    ],
    [
      'an import from a folder of the same floor',
      { 'cache/a.ts': "import { b } from '../codec/b.js'" },
      'cache/a.ts: imports ../codec/b.js, but codec and cache share a floor',
    ],
    [
      'an import from outside of src',
      { 'base/a.ts': "import manifest from '../../package.json'" },
      'base/a.ts: imports ../../package.json, which lies outside of the tree',
    ],
    ['a folder nobody placed', { 'attic/a.ts': '' }, 'attic/a.ts: stands on no floor'],
    [
      'a framework',
      { 'contracts/koa.ts': "import type { Context } from 'koa'" },
      'contracts/koa.ts: imports koa, a package it has no business with',
    ],
    [
      'express-session as a value outside of the store',
      { 'contracts/express.ts': "import { Store } from 'express-session'" },
      'contracts/express.ts: imports express-session, which only queryable-store.ts may',
    ],
    [
      'an augmentation of a package out of reach',
      { 'sessions/a.ts': "declare module 'express-session' { interface SessionData { a: 1 } }" },
      'sessions/a.ts: imports express-session, which even as a type only queryable-store.ts, store.ts, contracts/express.ts may',
    ],
    [
      'ioredis as a value in the options',
      { 'options/a.ts': "import { Redis, type Cluster } from 'ioredis'" },
      'options/a.ts: imports ioredis, which only redis/ may',
    ],
    [
      'ioredis as a type elsewhere',
      { 'bus/a.ts': "import type { Redis } from 'ioredis/built/Redis.js'" },
      'bus/a.ts: imports ioredis/built/Redis.js, which even as a type only redis/, options/, store.ts may',
    ],
    [
      'a circle of types',
      {
        'bus/a.ts': "import { b } from './b.js'",
        'bus/b.ts': "import { c } from './c.js'",
        'bus/c.ts': "import type { A } from './a.js'",
      },
      'bus/a.ts: imports itself in a circle, bus/a.ts > bus/b.ts > bus/c.ts > bus/a.ts',
    ],
    ['a long file', { 'bus/a.ts': '//\n'.repeat(301) }, 'bus/a.ts: has 301 lines, more than 300'],
    [
      'a file named for nothing',
      { 'bus/utils.ts': '' },
      'bus/utils.ts: "utils" says nothing about what is inside',
    ],
    [
      'a folder named for nothing',
      { 'bus/types/a.ts': '' },
      'bus/types/a.ts: "types" says nothing about what is inside',
    ],
    ['export *', { 'bus/a.ts': "\nexport * from './b.js'", 'bus/b.ts': '' }, 'bus/a.ts:2: uses export *'],
    ['a default export', { 'bus/a.ts': 'export default class A {}' }, 'bus/a.ts:1: has a default export'],
    [
      'a renamed default export',
      { 'bus/a.ts': 'const a = 1\nexport { a as default }' },
      'bus/a.ts:2: has a default export',
    ],
    ['any', { 'bus/a.ts': 'export const a: any = 1' }, 'bus/a.ts:1: uses any'],
    ['as any', { 'bus/a.ts': 'export const a = 1 as any' }, 'bus/a.ts:1: uses any'],
    ['@ts-ignore', { 'bus/a.ts': '// @ts-ignore\n' }, 'bus/a.ts: silences a check with @ts-ignore'],
    [
      'a silenced linter',
      { 'bus/a.ts': '// biome-ignore lint: no\n' },
      'bus/a.ts: silences a check with biome-ignore',
    ],
  ])('reports %s', (_, files, problem) => {
    expect(check(files)).toEqual([problem])
  })

  it('reports files that are long on the whole', () => {
    const files = Object.fromEntries(Object.keys(clean).map(path => [path, '//\n'.repeat(121)]))
    expect(check(files)).toEqual(['the median file has 121 lines, more than 120'])
  })
})

async function readTree(root: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(root.length + 1).replaceAll(sep, '/'), await readFile(path, 'utf8'))
  }
  return files
}
