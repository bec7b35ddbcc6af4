import { posix } from 'node:path'
import ts from 'typescript'
import { type Import, readImports } from './read-imports.js'

export interface Architecture {
  /** Folders, and files at the root, lowest floor first. */
  floors: readonly (readonly string[])[]
  /** The packages there are, and the files (a trailing slash: folders; empty: anywhere) that may import them. */
  packages: Readonly<Record<string, { values: readonly string[]; types?: readonly string[] }>>
  forbiddenNames: readonly string[]
  longestFile: number
  highestMedian: number
}

interface Module {
  path: string
  source: string
  syntax: ts.SourceFile
  imports: Import[]
}

/** Holds a tree of sources (paths relative to its root) against its rules, and lists what breaks them. */
export function checkArchitecture(files: ReadonlyMap<string, string>, rules: Architecture): string[] {
  const modules = [...files].map(([path, source]): Module => {
    const syntax = ts.createSourceFile(path, source, ts.ScriptTarget.ESNext, true)
    return { path, source, syntax, imports: readImports(syntax) }
  })
  return [
    ...modules.flatMap(module => [
      ...checkPlace(module, rules),
      ...checkImports(module, rules),
      ...checkLength(module, rules),
      ...checkSyntax(module),
    ]),
    ...findCycles(modules),
    ...checkMedian(modules, rules),
  ]
}

function checkPlace({ path }: Module, rules: Architecture): string[] {
  const problems: string[] = []
  if (floorOf(path, rules) === -1) problems.push(`${path}: stands on no floor`)
  for (const part of path.split('/')) {
    const name = part.replace(/\..*$/, '')
    if (rules.forbiddenNames.includes(name))
      problems.push(`${path}: "${name}" says nothing about what is inside`)
  }
  return problems
}

function checkImports({ path, imports }: Module, rules: Architecture): string[] {
  const problems: string[] = []
  for (const { specifier, typeOnly } of imports) {
    const problem = specifier.startsWith('.')
      ? whyNotInside(path, specifier, rules)
      : whyNotOutside(path, specifier, typeOnly, rules)
    if (problem) problems.push(`${path}: imports ${specifier}, ${problem}`)
  }
  return problems
}

function whyNotInside(path: string, specifier: string, rules: Architecture): string | undefined {
  const target = resolve(path, specifier)
  if (target.startsWith('..')) return 'which lies outside of the tree'
  const [from, to] = [placeOf(path), placeOf(target)]
  if (from === to) return undefined
  const [fromFloor, toFloor] = [floorOf(path, rules), floorOf(target, rules)]
  if (toFloor > fromFloor) return `but ${to} is above ${from}`
  if (toFloor === fromFloor) return `but ${to} and ${from} share a floor`
  return undefined
}

function whyNotOutside(
  path: string,
  specifier: string,
  typeOnly: boolean,
  rules: Architecture,
): string | undefined {
  if (specifier.startsWith('node:')) return undefined
  const rule = rules.packages[packageOf(specifier)]
  if (!rule) return 'a package it has no business with'
  const allowed = typeOnly ? [...rule.values, ...(rule.types ?? [])] : rule.values
  const permitted = allowed.some(
    place => place === '' || path === place || (place.endsWith('/') && path.startsWith(place)),
  )
  if (permitted) return undefined
  return `which ${typeOnly ? 'even as a type ' : ''}only ${allowed.join(', ') || 'nobody'} may`
}

function checkLength({ path, source }: Module, { longestFile }: Architecture): string[] {
  const lines = countLines(source)
  return lines > longestFile ? [`${path}: has ${lines} lines, more than ${longestFile}`] : []
}

function checkMedian(modules: readonly Module[], { highestMedian }: Architecture): string[] {
  const lengths = modules.map(({ source }) => countLines(source)).sort((a, b) => a - b)
  const median = lengths[Math.floor((lengths.length - 1) / 2)] ?? 0
  return median > highestMedian ? [`the median file has ${median} lines, more than ${highestMedian}`] : []
}

function countLines(source: string): number {
  return source.replace(/\n$/, '').split('\n').length
}

function checkSyntax({ path, source, syntax }: Module): string[] {
  const problems: string[] = []
  const report = (node: ts.Node, what: string) => {
    const { line } = syntax.getLineAndCharacterOfPosition(node.getStart(syntax))
    problems.push(`${path}:${line + 1}: ${what}`)
  }
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) report(node, 'uses any')
    if (ts.isExportDeclaration(node) && !(node.exportClause && ts.isNamedExports(node.exportClause))) {
      report(node, 'uses export *')
    }
    if (isDefaultExport(node)) report(node, 'has a default export')
    ts.forEachChild(node, visit)
  }
  visit(syntax)
  for (const marker of source.match(/@ts-(ignore|expect-error|nocheck)|biome-ignore|eslint-disable/g) ?? []) {
    problems.push(`${path}: silences a check with ${marker}`)
  }
  return problems
}

function isDefaultExport(node: ts.Node): boolean {
  if (ts.isExportAssignment(node)) return true
  if (ts.isExportSpecifier(node)) return node.name.text === 'default'
  return (
    ts.canHaveModifiers(node) &&
    !!ts.getModifiers(node)?.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword)
  )
}

/** Every file that can reach itself, with the way it does, each circle once. */
function findCycles(modules: readonly Module[]): string[] {
  const edges = new Map(
    modules.map(({ path, imports }) => [
      path,
      imports
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => resolve(path, specifier)),
    ]),
  )
  const done = new Set<string>()
  const problems: string[] = []
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start !== -1)
      problems.push(`${path}: imports itself in a circle, ${[...trail.slice(start), path].join(' > ')}`)
    if (start !== -1 || done.has(path)) return
    for (const next of edges.get(path) ?? []) walk(next, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) walk(path, [])
  return problems
}

function resolve(path: string, specifier: string): string {
  return posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts')
}

/** The folder right below the root, or the file itself where there is none. */
function placeOf(path: string): string {
  return path.split('/')[0] ?? path
}

function floorOf(path: string, { floors }: Architecture): number {
  return floors.findIndex(floor => floor.includes(placeOf(path)))
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}
