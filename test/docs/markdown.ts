import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../support/run-command.js'

export interface Page {
  /** Relative to the root. */
  readonly path: string
  readonly text: string
}

export interface Block {
  readonly page: string
  /** Of its first line of code. */
  readonly line: number
  readonly language: string
  readonly code: string
  /** What the HTML comment in front of it says; empty if there is none. */
  readonly marker: string
}

/** The Markdown files that a reader of the project meets. */
export async function readPages(): Promise<Page[]> {
  const files = [...(await readdir(ROOT)), ...(await readdir(join(ROOT, 'docs'))).map(name => `docs/${name}`)]
  const paths = files.filter(name => name.endsWith('.md')).sort()
  return Promise.all(paths.map(async path => ({ path, text: await readFile(join(ROOT, path), 'utf8') })))
}

export function blocksOf({ path, text }: Page): Block[] {
  const pattern =
    /(?:^<!-- (?<marker>[^>]*?) -->\n)?^(?<indent> *)```(?<language>\w*)\n(?<code>.*?)^ *```$/gms
  return [...text.matchAll(pattern)].map(({ index, 0: whole, groups = {} }) => {
    const { marker = '', indent = '', language = '', code = '' } = groups
    const before = text.slice(0, index + whole.indexOf('```')).split('\n').length
    return {
      page: path,
      line: before + 1,
      language,
      code: code.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      marker,
    }
  })
}

/** The text without what stands in blocks of code. */
export function proseOf({ text }: Page): string {
  return text.replaceAll(/^( *)```.*?^ *```$/gms, '')
}

/** The anchors of the headings, as GitHub makes them. */
export function anchorsOf(page: Page): string[] {
  return [...proseOf(page).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** What stands between backticks in the rows of tables. */
export function namesInTables(page: Page): Set<string> {
  const rows = page.text.split('\n').filter(line => line.trim().startsWith('|'))
  return new Set(rows.flatMap(row => [...row.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name)))
}
