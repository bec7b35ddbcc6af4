import { access, readdir, readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, it } from 'vitest'
import { ROOT } from '../support/run-command.js'
import { anchorsOf, namesInTables, type Page, proseOf, readPages } from './markdown.js'

let pages: Page[]

beforeAll(async () => {
  pages = await readPages()
})

function page(path: string): Page {
  const found = pages.find(page => page.path === path)
  if (!found) throw new Error(`There is no page ${path}`)
  return found
}

function linksOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
}

function exists(path: string): Promise<boolean> {
  return access(join(ROOT, path)).then(
    () => true,
    () => false,
  )
}

describe('links', () => {
  it('lead to files and headings that exist', async () => {
    const broken: string[] = []
    for (const page of pages) {
      for (const link of linksOf(page)) {
        if (/^https?:/.test(link)) continue
        const [file = '', anchor] = link.split('#')
        const path = file === '' ? page.path : normalize(join(dirname(page.path), file))
        const target = pages.find(other => other.path === path)
        const good = anchor === undefined ? await exists(path) : target && anchorsOf(target).includes(anchor)
        if (!good) broken.push(`${page.path}: ${link}`)
      }
    }
    expect(broken).toEqual([])
  })

  it('can be told from broken ones', () => {
    const text = '# A `b()`, c/d\n\n[x](#a-b-cd) [y](docs/none.md)\n\n```\n# no heading\n```\n'
    expect(anchorsOf({ path: 'x.md', text })).toEqual(['a-b-cd'])
    expect(linksOf({ path: 'x.md', text })).toEqual(['#a-b-cd', 'docs/none.md'])
  })

  it('stand in tables that are whole: a line between two rows ends a table, and the rest is no table any more', () => {
    const broken = pages.flatMap(page => {
      const lines = proseOf(page).split('\n')
      const isRow = (line = '') => line.startsWith('|')
      const heads = lines.flatMap((line, at) => (isRow(line) && !isRow(lines[at - 1]) ? [at] : []))
      const torn = heads.filter(at => !/^\|[\s:|-]+\|$/.test(lines[at + 1] ?? ''))
      return torn.map(at => `${page.path}: ${lines[at]}`)
    })
    expect(broken).toEqual([])
  })

  it('reach every page from the README', () => {
    const reached = new Set(['README.md'])
    for (const path of reached) {
      for (const link of linksOf(page(path))) {
        const target = normalize(join(dirname(path), link.split('#')[0] ?? ''))
        if (pages.some(other => other.path === target)) reached.add(target)
      }
    }
    expect([...reached].sort()).toEqual(pages.map(({ path }) => path))
  })
})

describe('the table of hazards', () => {
  it('names tests that exist', async () => {
    const { text } = page('docs/architecture.md')
    const claims = [...text.matchAll(/\]\(\.\.\/(test\/[^)]+)\):((?:,? "[^"]+")+)/g)]
    expect(claims.length).toBeGreaterThan(40)
    const missing: string[] = []
    for (const [, file = '', titles = ''] of claims) {
      const source = await readFile(join(ROOT, file), 'utf8')
      for (const [, title = ''] of titles.matchAll(/"([^"]+)"/g)) {
        if (!source.includes(title)) missing.push(`${file}: ${title}`)
      }
    }
    expect(missing).toEqual([])
  })
})

describe('the annotated tree', () => {
  it('has every file of src, each in its folder, and no other', async () => {
    const { text } = page('docs/architecture.md')
    const tree = /^src\/\n(.*?)^```/ms.exec(text)?.[1] ?? ''
    let folder = ''
    const named = tree.split('\n').flatMap(line => {
      const [, inner, name = ''] = /^(│ {3}| {4})?[├└]── (\S+)/.exec(line) ?? []
      if (name.endsWith('/')) folder = name
      return name.endsWith('.ts') ? [inner === undefined ? name : folder + name] : []
    })
    const files = await readdir(join(ROOT, 'src'), { recursive: true })
    expect(named.sort()).toEqual(files.filter(name => name.endsWith('.ts')).sort())
  })
})

describe('the tables of the README', () => {
  /** The members of a class or an interface; those of its literal types too, with their path. */
  async function membersOf(file: string, name: string): Promise<string[]> {
    const source = ts.createSourceFile(
      file,
      await readFile(join(ROOT, file), 'utf8'),
      ts.ScriptTarget.ESNext,
      true,
    )
    for (const statement of source.statements) {
      const declares = ts.isClassDeclaration(statement) || ts.isInterfaceDeclaration(statement)
      if (declares && statement.name?.text === name)
        return [...new Set(statement.members.flatMap(publicNames))]
    }
    throw new Error(`${file} declares no ${name}`)
  }

  function publicNames(member: ts.ClassElement | ts.TypeElement): string[] {
    const hidden =
      ts.canHaveModifiers(member) &&
      ts
        .getModifiers(member)
        ?.some(({ kind }) => [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword].includes(kind))
    if (hidden || !member.name || ts.isPrivateIdentifier(member.name)) return []
    const name = member.name.getText()
    const { type } = member as { type?: ts.TypeNode }
    const literals = (type ? [type, ...(ts.isUnionTypeNode(type) ? type.types : [])] : []).filter(
      ts.isTypeLiteralNode,
    )
    return [
      name,
      ...literals.flatMap(({ members }) => members.flatMap(publicNames)).map(inner => `${name}.${inner}`),
    ]
  }

  /** Those that no table has, be it as `name`, `name(...)` or `name` of a method. */
  function missing(names: readonly string[], path = 'README.md'): string[] {
    const known = [...namesInTables(page(path))].map(name => name.replace(/\(.*$/, ''))
    return names.filter(name => !known.includes(name))
  }

  it('have every export', async () => {
    const source = await readFile(join(ROOT, 'src/index.ts'), 'utf8')
    const names = [...source.matchAll(/\{([^}]+)\}/g)].flatMap(([, list = '']) =>
      list.split(',').map(name => name.replace('type ', '').trim()),
    )
    const exported = names.filter(Boolean)
    expect(exported).toContain('ClusteredRedisStore')
    expect(exported.length).toBeGreaterThan(15)
    expect(missing(exported)).toEqual([])
  })

  it('have every option', async () => {
    const options = await membersOf('src/options/store-options.ts', 'StoreOptions')
    expect(options).toContain('cluster.maxStaleness')
    expect(options).toContain('encryption.acceptPlaintext')
    expect(missing(options)).toEqual([])
  })

  it('have every method', async () => {
    const methods = [
      ...(await membersOf('src/store.ts', 'ClusteredRedisStore')),
      ...(await membersOf('src/queryable-store.ts', 'QueryableStore')),
    ]
    expect(methods).toContain('originOf')
    expect(methods).toContain('bulkDelete')
    expect(missing(methods)).toEqual([])
    const coordinator = await membersOf('src/bus/coordinator.ts', 'Coordinator')
    expect(missing(coordinator.filter(name => name !== 'localCache'))).toEqual([])
    const indexed = await membersOf('src/sessions/indexed-sessions.ts', 'IndexedSessions')
    expect(indexed).toContain('revoke')
    // What for-await calls stands there as that.
    expect(missing(indexed.filter(name => name !== '[Symbol.asyncIterator]'))).toEqual([])
  })

  it('and those of docs/cluster.md have every option, method and event of a cluster', async () => {
    const places: [file: string, name: string][] = [
      ['src/options/cluster-options.ts', 'ClusterOptions'],
      ['src/base/cluster-events.ts', 'ClusterEvents'],
      ['src/nodes/nodes.ts', 'Nodes'],
      ['src/nodes/nodes.ts', 'NodeInfo'],
      ['src/nodes/claims.ts', 'Claims'],
      ['src/nodes/claims.ts', 'AcquireOptions'],
      ['src/nodes/claim.ts', 'Claim'],
      ['src/nodes/handles.ts', 'Handles'],
      ['src/services/services.ts', 'Services'],
      ['src/services/services.ts', 'RegisterOptions'],
      ['src/services/services.ts', 'PickOptions'],
      ['src/services/service-instance.ts', 'ServiceDescription'],
      ['src/services/service-instance.ts', 'ServiceFilter'],
      ['src/services/service-registration.ts', 'ServiceRegistration'],
      ['src/cluster.ts', 'SessionCluster'],
    ]
    const internal = ['[sharedBus]', 'releaseAll', 'lose', 'renewNow', 'leave', 'sweep']
    for (const [file, name] of places) {
      const names = (await membersOf(file, name)).map(each => each.replaceAll("'", ''))
      const offered = names.filter(each => !internal.includes(each))
      expect(missing(offered, 'docs/cluster.md').map(each => `${name}.${each}`)).toEqual([])
    }
    const events = await readFile(join(ROOT, 'src/base/cluster-events.ts'), 'utf8')
    expect([...events.matchAll(/^ {2}'?([\w:]+)'?: \[/gm)]).toHaveLength(5)
  })

  it('and those of docs/connections.md have what there is of connections', async () => {
    const places: [file: string, name: string, internal?: string[]][] = [
      ['connections.ts', 'Connections', ['hear', 'miss', 'leave', 'guard', 'removeAllListeners']],
      ['attach-options.ts', 'AttachOptions'],
      [
        'connection.ts',
        'Connection',
        [
          'idParts',
          'onRotation',
          'confirmed',
          'info',
          'session',
          'row',
          'isClosed',
          'open',
          'send',
          'leave',
        ].concat(['rebindTo', 'endSession', 'idle', 'takeIdle']),
      ],
      ['connection-ref.ts', 'ConnectionRef'],
      ['connection-info.ts', 'ConnectionInfo'],
      ['connection-queries.ts', 'ListOptions'],
      ['connection-commands.ts', 'SendOptions'],
      ['receipts.ts', 'Receipt'],
      ['transport.ts', 'Transport'],
    ]
    for (const [file, name, internal = []] of places) {
      const names = await membersOf(`src/connections/${file}`, name)
      const offered = names.filter(each => !internal.includes(each))
      expect(missing(offered, 'docs/connections.md').map(each => `${name}.${each}`)).toEqual([])
    }
  })

  it('have every event, every number and every state of health', async () => {
    const events = await membersOf('src/base/store-events.ts', 'StoreEvents')
    expect(missing(events.filter(name => !name.includes('.')))).toEqual([])
    expect(
      missing((await membersOf('src/observe/health.ts', 'Health')).filter(name => name !== 'redis')),
    ).toEqual([])
    const numbers = await membersOf('src/observe/stats.ts', 'CacheStats')
    expect(numbers).toContain('messages.sent')
    expect(missing(numbers.filter(name => !['messages', 'latency'].includes(name)))).toEqual([])
    for (const field of ['BulkResult', 'BulkProgress', 'BulkOptions']) {
      expect(missing(await membersOf('src/sessions/bulk-deletion.ts', field))).toEqual([])
    }
    expect(missing(await membersOf('src/sessions/indexed-sessions.ts', 'RevokeOptions'))).toEqual([])
    for (const field of ['ReindexResult', 'ReindexProgress', 'ReindexOptions']) {
      expect(missing(await membersOf('src/sessions/reindexing.ts', field))).toEqual([])
    }
  })

  it('have every reason of an event', async () => {
    const events = await readFile(join(ROOT, 'src/base/store-events.ts'), 'utf8')
    const errors = await readFile(join(ROOT, 'src/base/errors.ts'), 'utf8')
    const lists = [...events.matchAll(/reason: ('\w+'(?: \| '\w+')*)/g)].map(([, list = '']) => list)
    const refusals = /REFUSALS = \{(.*?)\}/s.exec(errors)?.[1] ?? ''
    const reasons = [
      ...lists.flatMap(list => list.split(' | ')),
      ...[...refusals.matchAll(/^ {2}(\w+):/gm)].map(([, reason]) => `'${reason}'`),
    ]
    expect(reasons).toContain("'maxSessions'")
    expect(reasons).toContain("'conflict'")
    expect(missing(reasons)).toEqual([])
  })

  it('have every error in docs/errors.md', async () => {
    const places = ['src/base/errors.ts', 'src/base/cluster-errors.ts']
    const source = (await Promise.all(places.map(file => readFile(join(ROOT, file), 'utf8')))).join('\n')
    const known = namesInTables(page('docs/errors.md'))
    for (const [, name = ''] of source.matchAll(/class (\w+)/g)) expect(known).toContain(name)
    const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter(name => name.endsWith('.ts'))
    const codes = new Set<string>()
    for (const file of files) {
      const text = await readFile(join(ROOT, 'src', file), 'utf8')
      for (const [code] of text.matchAll(/ERR_\w+/g)) codes.add(code)
    }
    expect(codes).toContain('ERR_UNKNOWN_KEY')
    expect([...codes].filter(code => !known.has(code))).toEqual([])
  })
})
