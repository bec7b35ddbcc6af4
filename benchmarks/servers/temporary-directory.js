// @ts-check
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit } from './at-exit.js'

/** Gone when this process is, if not before. */
export function temporaryDirectory() {
  const path = mkdtempSync(join(tmpdir(), 'clustered-redis-store-'))
  return { path, remove: atExit(() => rmSync(path, { recursive: true, force: true })) }
}
