import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Undefined if there is none; what is then not tested is said loudly. */
export async function launchChromium(tested: string): Promise<Browser | undefined> {
  const executablePath = await findChromium()
  if (executablePath) return chromium.launch({ executablePath, args: ARGUMENTS })
  if (process.env.REQUIRE_BROWSER === '1')
    throw new Error('REQUIRE_BROWSER is set, and there is no chromium.')
  console.warn(`There is no chromium, so ${tested} is NOT tested.`)
  return undefined
}

async function findChromium(): Promise<string | undefined> {
  for (const folder of ['/usr/bin', ...(process.env.PATH ?? '').split(delimiter)].filter(Boolean)) {
    const path = join(folder, 'chromium')
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path
  }
  return undefined
}
