import { mkdtemp, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { ROOT, runTool } from '../support/run-command.js'

interface Snippet {
  title: string
  /** In a function that has `hashed`, `adopting`, `plain`, `handle`. */
  code: string
  /** What the compiler must say; undefined if it must be content. */
  error?: RegExp
}

const NO_SID =
  /Argument of type 'SessionHandle' is not assignable to parameter of type 'string'|No overload matches this call/

const snippets: Snippet[] = [
  { title: 'get takes no handle', code: 'void hashed.get(handle)', error: NO_SID },
  { title: 'get with a callback takes no handle', code: 'hashed.get(handle, () => {})', error: NO_SID },
  { title: 'set takes no handle', code: 'void hashed.set(handle, { user: "ada" })', error: NO_SID },
  { title: 'destroy takes no handle', code: 'void hashed.destroy(handle)', error: NO_SID },
  { title: 'touch takes no handle', code: 'void hashed.touch(handle, { user: "ada" })', error: NO_SID },
  { title: 'handleOf takes no handle', code: 'hashed.handleOf(handle)', error: NO_SID },
  { title: 'nor do they without hashIds', code: 'void plain.get(handle)', error: NO_SID },
  {
    title: 'revoke takes no id',
    code: 'void hashed.revoke("sid")',
    error: /Argument of type 'string' is not assignable to parameter of type 'SessionHandle'/,
  },
  { title: 'revoke takes a handle', code: 'const done: Promise<void> = hashed.revoke(handle); void done' },
  { title: 'a handle is evicted', code: 'const was: boolean = hashed.evictFromCache(handle); void was' },
  { title: 'a handle is published', code: 'void hashed.coordinator.publishInvalidation(handle)' },
  {
    title: 'a handle is no string',
    code: 'const text: string = handle',
    error: /not assignable to type 'string'/,
  },
  {
    title: 'what looks like a handle is none',
    code: 'void hashed.revoke({ equals: () => true, toString: () => "", toJSON: () => "" })',
    error: /not assignable to parameter of type 'SessionHandle'/,
  },
  {
    title: 'allSessionIds gives handles with hashIds: true',
    code: 'const ids: SessionHandle[] = await hashed.allSessionIds(); void ids',
  },
  {
    title: 'ids gives handles too, to a callback as well',
    code: 'hashed.ids((_error, ids) => { const all: SessionHandle[] | undefined = ids; void all }); const ids: SessionHandle[] = await hashed.ids(); void ids',
  },
  {
    title: 'allSessionIds gives no ids with hashIds: true',
    code: 'const ids: string[] = await hashed.allSessionIds(); void ids',
    error: /Type 'SessionHandle\[\]' is not assignable to type 'string\[\]'/,
  },
  {
    title: "and none with hashIds: 'adopt'",
    code: 'const ids: string[] = await adopting.allSessionIds(); void ids',
    error: /Type 'SessionHandle\[\]' is not assignable to type 'string\[\]'/,
  },
  {
    title: 'views carry handles',
    code: `
      const view = await hashed.findFirst(({ id }) => id.equals(handle))
      const found: SessionHandle | undefined = view?.id
      for await (const { id } of hashed.eachSession()) await hashed.revoke(id)
      const { id } = (await adopting.findBy(() => true))[0]!
      await hashed.bulkDelete(view => !view.id.equals(id))
      const [first] = await hashed.all()
      if (first) await hashed.revoke(first.id)
      void found
    `,
  },
  {
    title: 'what a view names opens no session',
    code: 'for await (const { id } of hashed.eachSession()) await hashed.get(id)',
    error: NO_SID,
  },
  {
    title: 'without hashIds ids are strings',
    code: `
      const ids: string[] = await plain.allSessionIds()
      const view = await plain.findFirst(({ id }) => id.startsWith('a'))
      const id: string | undefined = view?.id
      const off: string[] = await new ClusteredRedisStore({ hashIds: false }).allSessionIds()
      void ids; void id; void off
      for await (const { id } of plain.eachSession()) await plain.get(id)
    `,
  },
  {
    title: 'without hashIds they are no handles',
    code: 'const ids: SessionHandle[] = await plain.allSessionIds(); void ids',
    error: /Type 'string\[\]' is not assignable to type 'SessionHandle\[\]'/,
  },
  {
    title: 'a type of session alone does not go with hashIds: true',
    code: 'new ClusteredRedisStore<MySession>({ hashIds: true })',
    error: /Type 'true' is not assignable to type 'false'/,
  },
  {
    title: "nor with hashIds: 'adopt'",
    code: "new ClusteredRedisStore<MySession>({ hashIds: 'adopt' })",
    error: /Type '(string|"adopt")' is not assignable to type 'false'/,
  },
  {
    title: 'a type of session goes with hashIds: true where it is said',
    code: `
      const mine = new ClusteredRedisStore<MySession, never, true>({ hashIds: true })
      const view = await mine.findFirst(({ data, id }) => data.user === 'ada' && id.equals(handle))
      const user: string | undefined = view?.data.user
      const id: SessionHandle | undefined = view?.id
      void user; void id
    `,
  },
  {
    title: 'what is said must be what is set',
    code: "new ClusteredRedisStore<MySession, never, true>({ hashIds: 'adopt' })",
    error: /Type '(string|"adopt")' is not assignable to type 'true'/,
  },
  {
    title: 'another value is no phase',
    code: "new ClusteredRedisStore({ hashIds: 'yes' })",
    error: /is not assignable to type/,
  },
]

/** What the compiler says of each snippet. */
const complaints: string[][] = snippets.map(() => [])

beforeAll(async () => {
  const directory = await mkdtemp(join(inject('runDirectory'), 'handle-types-'))
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  const index = join(ROOT, 'src/index.js')
  await Promise.all(
    snippets.map(({ code }, number) =>
      writeFile(
        join(directory, `snippet${number}.ts`),
        `import { ClusteredRedisStore, SessionHandle } from ${JSON.stringify(index)}
        declare module 'express-session' { interface SessionData { user?: string } }
        export interface MySession { user?: string }
        const hashed = new ClusteredRedisStore({ hashIds: true })
        const adopting = new ClusteredRedisStore({ hashIds: 'adopt' })
        const plain = new ClusteredRedisStore()
        export async function use(handle: SessionHandle): Promise<void> {
          void hashed; void adopting; void plain; void handle;
          ${code}
        }`,
      ),
    ),
  )
  await writeFile(
    join(directory, 'tsconfig.json'),
    JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), include: ['*.ts'], exclude: [] }),
  )
  await writeFile(join(directory, 'package.json'), JSON.stringify({ type: 'module' }))
  const { output } = await runTool('tsc', ['-p', directory, '--pretty', 'false'])
  let current: string[] = []
  for (const line of output.split('\n')) {
    const number = /snippet(\d+)\.ts\(/.exec(line)?.[1]
    if (number !== undefined) current = complaints[Number(number)] ?? []
    // What follows indented belongs to the complaint before.
    else if (!line.startsWith(' ') && line !== '') throw new Error(`The compiler says: ${output}`)
    if (line !== '') current.push(line)
  }
}, 120_000)

describe('what type-checks, and what does not', () => {
  it.each(snippets.map((snippet, number) => ({ ...snippet, number })))('$title', ({ error, number }) => {
    const said = (complaints[number] ?? []).join('\n')
    if (error) expect(said).toMatch(error)
    else expect(said).toBe('')
  })
})
