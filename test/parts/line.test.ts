import { beforeEach, describe, expect, it } from 'vitest'
import { Line } from '../../src/bus/line.js'
import type { RedisPort, RedisPrimary, SubscriptionListener } from '../../src/redis/redis-port.js'
import { ManualClock } from '../support/manual-clock.js'
import { settled } from '../support/simulated-redis.js'

const PROBE_EVERY = 100
const MAX_STALENESS = 400

let clock: ManualClock
let told: string[]
/** What a subscription is to become; a test may replace it. */
let subscribe: (listener: SubscriptionListener) => Promise<void>
let opened: { listener: SubscriptionListener; closed: boolean }[]
let channels: string[]
/** What becomes of a SUBSCRIBE on a subscription that is there. */
let add: (channels: readonly string[]) => Promise<void>
/** What the server says to a probe, once it has echoed it. */
let answer: () => string[]
let echo: boolean
let runId: string
let probes: { key: string; channel: string; nonce: string; cluster: string; at: number }[]
let probeKey: string | undefined
let isCluster: boolean
let primariesKnown: () => void
let line: Line

beforeEach(() => {
  clock = new ManualClock()
  told = []
  opened = []
  channels = ['channel']
  add = async () => {}
  probes = []
  subscribe = async () => {}
  answer = () => ['run', 'history', '', '']
  echo = true
  runId = 'run'
  probeKey = 'a key'
  isCluster = false
  primariesKnown = () => {}
  line = open()
})

function open(): Line {
  const primary = {
    name: 'redis',
    subscribe: async (_channels: string[], listener: SubscriptionListener) => {
      await subscribe(listener)
      const subscription = { listener, closed: false }
      opened.push(subscription)
      return {
        runId,
        add: (more: string[]) => add(more),
        close: () => (subscription.closed = true),
      }
    },
  } as unknown as RedisPrimary
  const port = {
    get isCluster() {
      return isCluster
    },
    run: async (_script: unknown, [key]: string[], [channel, nonce, cluster]: string[]) => {
      probes.push({ key, channel, nonce, cluster, at: clock.monotonic() } as never)
      if (echo) opened.at(-1)?.listener.message('private', String(nonce))
      return answer()
    },
  } as unknown as RedisPort
  let nonces = 0
  const options = {
    port,
    primary,
    clock,
    channels: () => channels,
    privateChannel: 'private',
    probeKey: () => probeKey,
    maxStaleness: MAX_STALENESS,
    probeEvery: PROBE_EVERY,
    nextNonce: () => ++nonces,
  }
  return new Line(options, {
    message: (_channel, text) => told.push(`message ${text}`),
    hearing: heard => told.push(heard.includes('channel') ? 'hearing' : `hearing ${heard}`),
    deaf: reason => told.push(`deaf: ${reason}`),
    trouble: reason => told.push(`trouble: ${reason}`),
    heard: () => told.push('heard'),
    primariesKnown: count => {
      told.push(`primaries ${count}`)
      primariesKnown()
    },
  })
}

async function pass(ms: number): Promise<void> {
  for (; ms > 0; ms -= 10) {
    clock.advance(Math.min(10, ms))
    await settled()
  }
}

async function start(): Promise<void> {
  line.open()
  await settled()
}

const momentNow = () => ({ wall: clock.wall(), monotonic: clock.monotonic() })
const refuse = async () => {
  throw new Error('refused')
}
const CLOSED = 'the subscriber connection was closed'

describe('a line', () => {
  it('hears nothing before it is open, and says so', () => {
    expect([line.name, line.hearing, line.heardSince, line.identified]).toEqual([
      'redis',
      false,
      undefined,
      undefined,
    ])
    expect(line.trouble).toBe('it is not subscribed yet')
  })

  it('hears once it is subscribed, and all is well once a probe has counted', async () => {
    const began = momentNow()
    await start()
    expect(told.slice(0, 2)).toEqual(['hearing', 'heard'])
    expect([line.hearing, line.identified, line.trouble]).toEqual([true, true, undefined])
    expect(line.heardSince).toEqual(began)
    expect(probes).toEqual([
      { key: 'a key', channel: 'private', nonce: 'redis/1', cluster: '', at: began.monotonic },
    ])
  })

  it('says that no probe has come back before one has', async () => {
    echo = false
    await start()
    expect([line.hearing, line.heardSince, line.trouble]).toEqual([
      true,
      undefined,
      'no probe has come back yet',
    ])
    expect(told).toEqual(['hearing'])
  })

  it('is well as soon as a late nonce is heard', async () => {
    echo = false
    await start()
    opened[0]?.listener.message('private', 'redis/1')
    expect([line.trouble, told]).toEqual([undefined, ['hearing', 'heard']])
  })

  it('probes at every interval, and passes on messages, but no nonces', async () => {
    const began = clock.monotonic()
    await start()
    await pass(2 * PROBE_EVERY)
    expect(probes.map(({ at }) => at - began)).toEqual([0, PROBE_EVERY, 2 * PROBE_EVERY])
    opened[0]?.listener.message('channel', 'a message')
    expect(told.filter(what => what.startsWith('message'))).toEqual(['message a message'])
  })

  it('probes at every interval, however long an answer takes', async () => {
    await start()
    const well = answer
    let reply = (_: string[]) => {}
    answer = () => new Promise<string[]>(resolve => (reply = resolve)) as unknown as string[]
    await pass(1.5 * PROBE_EVERY)
    answer = well
    reply(well())
    await settled()
    await pass(PROBE_EVERY / 2)
    expect(probes).toHaveLength(3)
  })

  it('asks a cluster how many primaries there are, and tells', async () => {
    isCluster = true
    answer = () => ['run', 'history', '1', '3']
    await start()
    expect(probes[0]?.cluster).toBe('1')
    expect(told).toContain('primaries 3')
  })

  it.each([
    ['answers', '', 'run'],
    ['is subscribed to', 'run', ''],
  ])('does not compare where the server that %s does not say who it is', async (_, run, subscribed) => {
    answer = () => [run, '', '', '']
    runId = subscribed
    await start()
    expect([line.identified, line.hearing, line.trouble]).toEqual([false, true, undefined])
  })
})

describe('a line opens anew', () => {
  async function opensAnew(reason: string): Promise<void> {
    expect(told).toContain(`deaf: ${reason}`)
    expect(opened[0]?.closed).toBe(true)
    expect([line.hearing, line.heardSince, line.trouble]).toEqual([false, undefined, reason])
    told = []
    answer = () => ['run', 'a new history', '', '']
    echo = true
    probeKey = 'a key'
    await pass(50)
    expect(told).toEqual(['hearing', 'heard'])
    expect(opened).toHaveLength(2)
  }

  it('when the subscriber is closed', async () => {
    await start()
    opened[0]?.listener.closed()
    await opensAnew(CLOSED)
  })

  it('when a probe is overtaken', async () => {
    echo = false
    await start()
    await pass(PROBE_EVERY)
    opened[0]?.listener.message('private', 'redis/2')
    await opensAnew('messages were lost: a probe was overtaken by the next')
  })

  it.each(['READONLY', 'NOREPLICAS', 'CLUSTERDOWN', 'MOVED'])('when the server says %s', async code => {
    await start()
    answer = () => {
      throw new Error(`${code} at its server`)
    }
    await pass(PROBE_EVERY)
    await opensAnew(`${code} at its server`)
  })

  it('when another server answers', async () => {
    answer = () => ['another', 'history', '', '']
    await start()
    await opensAnew('the subscriber is connected to another server than the commands are')
  })

  it.each([
    ['replication', ['run', 'other', '', '']],
    ['cluster', ['run', 'history', '2', '']],
  ])('when the history of its %s is another', async (_, other) => {
    await start()
    answer = () => other
    await pass(PROBE_EVERY)
    await opensAnew('the server follows another history of writes since a failover or a resharding')
  })

  it('when the server owns none of the keys any more', async () => {
    await start()
    probeKey = undefined
    await pass(PROBE_EVERY)
    await opensAnew('the server owns none of the keys any more')
  })

  it('when the server answers for longer than maxStaleness, and nothing is heard', async () => {
    await start()
    echo = false
    await pass(PROBE_EVERY + MAX_STALENESS)
    expect(line.hearing).toBe(true)
    await pass(PROBE_EVERY)
    await opensAnew('the subscriber connection is silent although its server answers')
  })
})

describe('a line stays open', () => {
  it('when a probe fails for another reason, and says which', async () => {
    await start()
    const well = answer
    answer = () => {
      throw new Error('too late')
    }
    await pass(PROBE_EVERY)
    expect([line.hearing, line.trouble]).toEqual([true, 'too late'])
    answer = well
    await pass(PROBE_EVERY)
    expect(line.trouble).toBeUndefined()
  })
})

describe('a line that is refused', () => {
  it('tries again after 50 ms, doubling up to 2 s, and says why once', async () => {
    const tries: number[] = []
    const began = clock.monotonic()
    subscribe = async () => {
      tries.push(clock.monotonic() - began)
      return refuse()
    }
    await start()
    await pass(7_200)
    expect(tries).toEqual([0, 50, 150, 350, 750, 1_550, 3_150, 5_150, 7_150])
    expect(told).toEqual(['trouble: refused'])
    expect([line.hearing, line.trouble]).toEqual([false, 'refused'])
  })

  it('begins with 50 ms again once a probe has counted', async () => {
    subscribe = refuse
    await start()
    await pass(400)
    subscribe = async () => {}
    await pass(400)
    expect(line.trouble).toBeUndefined()
    opened[0]?.listener.closed()
    await pass(50)
    expect(opened).toHaveLength(2)
  })

  it('does not probe meanwhile', async () => {
    await start()
    subscribe = refuse
    opened[0]?.listener.closed()
    await pass(1_000)
    expect(probes).toHaveLength(1)
  })

  it('tries again if the connection closes while it is subscribing', async () => {
    subscribe = async listener => listener.closed()
    await start()
    expect([line.hearing, line.trouble]).toEqual([false, CLOSED])
    expect(told).toEqual([`trouble: ${CLOSED}`])
    subscribe = async () => {}
    await pass(50)
    expect(line.hearing).toBe(true)
  })
})

describe('a line that is stopped', () => {
  it('closes, forgets what it has heard, and does nothing any more', async () => {
    await start()
    line.stop()
    expect([line.hearing, line.heardSince, opened[0]?.closed]).toEqual([false, undefined, true])
    opened[0]?.listener.message('private', 'redis/1')
    opened[0]?.listener.closed()
    told = []
    await pass(1_000)
    expect([told, probes.length, opened.length]).toEqual([[], 1, 1])
  })

  it('closes what is opened too late', async () => {
    let confirm = () => {}
    subscribe = () => new Promise(resolve => (confirm = resolve))
    await start()
    line.stop()
    confirm()
    await settled()
    expect([opened[0]?.closed, line.hearing, told]).toEqual([true, false, []])
  })

  it('does not try again when it is refused after that', async () => {
    let refused = (_: Error) => {}
    subscribe = () => new Promise((_, reject) => (refused = reject))
    await start()
    line.stop()
    refused(new Error('refused'))
    subscribe = async () => {}
    await pass(1_000)
    expect([opened, told]).toEqual([[], []])
  })

  it.each([
    ['answer', (late: Late) => late.reply(['run', 'history', '1', '3'])],
    ['failure', (late: Late) => late.fail(new Error('too late'))],
  ])('does not heed the %s of a probe', async (_, come) => {
    const late = {} as Late
    const answered = new Promise<string[]>((reply, fail) => Object.assign(late, { reply, fail }))
    answer = () => answered as unknown as string[]
    await start()
    line.stop()
    told = []
    come(late)
    await pass(1_000)
    expect([told, probes.length, line.trouble]).toEqual([[], 1, 'no probe has come back yet'])
  })

  it('does not probe any more when it is stopped because there are other primaries', async () => {
    answer = () => ['run', 'history', '1', '3']
    primariesKnown = () => line.stop()
    await start()
    await pass(1_000)
    expect(probes).toHaveLength(1)
  })
})

interface Late {
  reply(answer: string[]): void
  fail(error: Error): void
}

describe('a channel that comes later', () => {
  it('is heard on the same subscription, and no probe is needed for it', async () => {
    const added: string[] = []
    add = async more => void added.push(...more)
    await start()
    const since = line.heardSince
    channels = ['channel', 'another']
    expect(line.hears('another')).toBe(false)
    line.carry()
    await settled()
    expect([added, line.hears('another'), line.hears('channel'), line.heardSince]).toEqual([
      ['another'],
      true,
      true,
      since,
    ])
    expect(told).toEqual(['hearing', 'heard', 'hearing another'])
    expect(opened).toHaveLength(1)
    line.carry()
    await settled()
    expect(added).toEqual(['another'])
  })

  it('is not heard before the server has confirmed it', async () => {
    let confirm = () => {}
    add = () => new Promise(resolve => (confirm = resolve))
    await start()
    channels = ['channel', 'another']
    line.carry()
    await settled()
    expect(line.hears('another')).toBe(false)
    confirm()
    await settled()
    expect(line.hears('another')).toBe(true)
  })

  it('is asked for once, and told of once, however soon the next one comes', async () => {
    const added: (readonly string[])[] = []
    const confirm: (() => void)[] = []
    add = more => {
      added.push(more)
      return new Promise(resolve => confirm.push(resolve))
    }
    await start()
    channels = ['channel', 'another']
    line.carry()
    channels = ['channel', 'another', 'a third']
    line.carry()
    for (const each of confirm) each()
    await settled()
    expect(added).toEqual([['another'], ['a third']])
    expect(told.slice(2)).toEqual(['hearing another', 'hearing a third'])
  })

  it('is taken along by a subscription that is being opened', async () => {
    subscribe = async () => {
      channels = ['channel', 'another']
      line.carry()
    }
    await start()
    expect(told.filter(each => each.startsWith('hearing'))).toEqual(['hearing', 'hearing another'])
    expect(line.hears('another')).toBe(true)
  })

  it('costs the subscription if the server refuses it, and is there on the next', async () => {
    await start()
    add = refuse
    channels = ['channel', 'another']
    line.carry()
    await settled()
    expect([line.hearing, line.hears('channel'), line.trouble, opened[0]?.closed]).toEqual([
      false,
      false,
      'refused',
      true,
    ])
    await pass(50)
    expect([line.hears('channel'), line.hears('another')]).toEqual([true, true])
  })

  it.each([
    ['is confirmed', async () => {}],
    ['is refused', refuse],
  ])('is nothing to a subscription that was closed before it %s', async (_outcome, outcome) => {
    let answerAdd = () => {}
    add = () => new Promise<void>(resolve => (answerAdd = resolve)).then(outcome)
    await start()
    channels = ['channel', 'another']
    line.carry()
    opened[0]?.listener.closed()
    subscribe = refuse
    answerAdd()
    await settled()
    expect([line.hearing, line.hears('another'), line.trouble]).toEqual([false, false, CLOSED])
    expect(told.filter(each => each.includes('another'))).toEqual([])
  })

  it('that was refused too late costs no subscription that came after', async () => {
    let answerAdd = () => {}
    add = () => new Promise<void>(resolve => (answerAdd = resolve)).then(refuse)
    await start()
    channels = ['channel', 'another']
    line.carry()
    opened[0]?.listener.closed()
    await pass(50)
    answerAdd()
    await settled()
    expect([line.hears('another'), opened[1]?.closed]).toEqual([true, false])
  })
})
