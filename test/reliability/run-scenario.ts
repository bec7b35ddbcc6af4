import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppProcess } from '../support/app-process.js'
import { FRAMEWORKS, type Framework } from './frameworks.js'
import { Load } from './load.js'
import type { Row } from './report.js'
import type { Fault, Scenario } from './scenarios.js'
import type { RequestKind } from './session-ledger.js'
import type { Exchange } from './visitor.js'

/** The store's, as it is by default. */
const DEADLINE = 1_000
/**
 * A request waits for its turn, too: some hundreds come at once. Less than a deadline, so that it cannot hide another one;
 * where the machine is so busy that a process stands still, as often as a request passes through it comes on top.
 */
const SLACK = 500
const STALLS = 2
const WARM_UP = 1_000
const RECOVERS_WITHIN = 20_000

/**
 * How many commands of the store a request waits for, one after the other at most; each ends by the deadline. All load
 * the session that their cookie names. A login destroys that one and saves the next, twice: koa-session when it makes it
 * and when it is filled, express-session once more as the answer ends, which takes a command only if the first failed.
 */
const COMMANDS: Record<Framework, Record<RequestKind, number>> = {
  express: { guest: 0, me: 1, count: 2, login: 4, logout: 2 },
  koa: { guest: 0, me: 1, count: 2, login: 4, logout: 2 },
}

export interface Outcome {
  readonly row: Row
  /** Everything that must not be. */
  readonly wrong: string[]
}

interface Span {
  readonly begun: number
  readonly ended: number
}

/** One fault, under the load of both apps at once. */
export async function runScenario(scenario: Scenario): Promise<Outcome[]> {
  const fault = await scenario.prepare()
  const sites = await Promise.all(
    FRAMEWORKS.map(async framework => {
      const app = await AppProcess.start(join(import.meta.dirname, `${framework}-app.js`), fault.url)
      return { framework, app, load: new Load(app.port) }
    }),
  )
  const loads = sites.map(({ load }) => load)
  const stalls = monitorEventLoopDelay()
  stalls.enable()
  try {
    if (!scenario.atBoot) await logIn(loads)
    for (const load of loads) load.begin()
    if (!scenario.atBoot) await sleep(WARM_UP)
    const span = await strike(scenario, fault, loads)
    const recovered = await Promise.all(loads.map(recovers))
    await Promise.all(loads.map(load => load.end()))
    return await Promise.all(
      sites.map(async ({ framework, app, load }, index) => {
        if (app.faults.length === 0) await app.forget()
        const last = await load.askAll('me')
        const slack = SLACK + STALLS * (app.longestStall + stalls.max / 1e6)
        const exchanges = [...load.exchanges, ...last]
        const wrong = [
          ...app.faults,
          ...exchanges.flatMap(exchange => exchange.wrong ?? []),
          ...exchanges.flatMap(exchange => tooLong(framework, exchange, slack) ?? []),
          ...exchanges.flatMap(exchange => shouldHaveGoneOn(scenario, exchange) ?? []),
          ...last.flatMap(({ failed }) => (failed ? ['a request failed after all was well'] : [])),
        ]
        if (!recovered[index]) wrong.push('not all was well again after 20 s')
        if (load.mostConnections > 1) wrong.push('a connection was closed that was to be kept alive')
        return {
          row: rowOf(scenario, framework, load.exchanges, span),
          wrong: wrong.map(what => `${framework}: ${what}`),
        }
      }),
    )
  } finally {
    stalls.disable()
    for (const load of loads) load.leave()
    await Promise.all(sites.map(({ app }) => app.stop()))
  }
}

async function logIn(loads: readonly Load[]): Promise<void> {
  for (const login of (await Promise.all(loads.map(load => load.askAll('login')))).flat()) {
    if (login.failed || login.wrong)
      throw new Error(`A login failed before anything happened: ${login.wrong}`)
  }
}

async function strike(scenario: Scenario, fault: Fault, loads: readonly Load[]): Promise<Span> {
  const begun = performance.now()
  await fault.begin()
  for (const load of loads) {
    if (scenario.losesData) load.loseSessions()
    load.ring()
  }
  await sleep(fault.lasts)
  await fault.end()
  return { begun, ended: performance.now() }
}

/** Whether there is a round in which all are answered with success. */
async function recovers(load: Load): Promise<boolean> {
  const until = performance.now() + RECOVERS_WITHIN
  while (performance.now() < until) if (await load.round()) return true
  return false
}

function tooLong(framework: Framework, { kind, begun, ended }: Exchange, slack: number): string | undefined {
  const bound = COMMANDS[framework][kind] * DEADLINE + slack
  const took = ended - begun
  return took > bound ? `${kind} took ${Math.round(took)} ms, more than ${Math.round(bound)}` : undefined
}

function shouldHaveGoneOn({ goesOn }: Scenario, { kind, failed }: Exchange): string | undefined {
  return failed && goesOn.includes(kind) ? `${kind} failed, which should have gone on` : undefined
}

function rowOf(
  { name }: Scenario,
  framework: Framework,
  exchanges: readonly Exchange[],
  { begun, ended }: Span,
): Row {
  // What was under way when the fault began belongs to it.
  const during = exchanges.filter(exchange => exchange.ended >= begun)
  const durations = during.map(exchange => exchange.ended - exchange.begun).sort((a, b) => a - b)
  const errors = during.filter(({ failed }) => failed)
  const lastError = Math.max(ended, ...errors.map(exchange => exchange.ended))
  return {
    scenario: name,
    framework,
    answers: during.length,
    errors: errors.length,
    p99: durations[Math.ceil(durations.length * 0.99) - 1] ?? 0,
    longest: durations.at(-1) ?? 0,
    recovery: lastError - ended,
  }
}
