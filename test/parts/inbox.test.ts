import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Json } from '../../src/base/json.js'
import { decodeNodeMessage, encodeNodeMessage, type NodeMessage } from '../../src/inbox/node-message.js'
import { payloadOf } from '../../src/inbox/payload.js'
import { Question, together } from '../../src/inbox/question.js'
import { Sequence } from '../../src/inbox/sequence.js'
import { OptionError, PayloadTooLargeError } from '../../src/index.js'
import { oddValue } from '../properties/odd-values.js'
import { runs } from '../properties/runs.js'

describe('a sequence', () => {
  it('lets each message of a sender through once, and none after a later one', () => {
    const sequence = new Sequence()
    const through = [1, 1, 2, 5, 3, 5, 4, 6].filter(seq => sequence.isNext('a', seq))
    expect(through).toEqual([1, 2, 5, 6])
    expect([sequence.isNext('b', 1), sequence.isNext('a', 6), sequence.isNext('__proto__', 1)]).toEqual([
      true,
      false,
      true,
    ])
  })

  it('remembers nobody who was forgotten', () => {
    const sequence = new Sequence()
    sequence.isNext('a', 9)
    sequence.forget('a')
    sequence.forget('nobody')
    expect([sequence.isNext('a', 3), sequence.isNext('a', 3)]).toEqual([true, false])
  })

  it('lets a rising part of whatever comes through, whoever sends what in between', () => {
    const message = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 1, max: 20 }))
    fc.assert(
      fc.property(fc.array(message, { maxLength: 60 }), messages => {
        const sequence = new Sequence()
        const through = messages.filter(([from, seq]) => sequence.isNext(from, seq))
        for (const from of ['a', 'b', 'c']) {
          const of = through.filter(each => each[0] === from).map(([, seq]) => seq)
          expect(of).toEqual([...new Set(of)].sort((one, other) => one - other))
          const all = messages.filter(each => each[0] === from).map(([, seq]) => seq)
          // In order nothing is lost.
          if (all.every((seq, index) => index === 0 || seq > Number(all[index - 1]))) expect(of).toEqual(all)
        }
      }),
      runs(200),
    )
  })
})

describe('a question', () => {
  const body = (value: string) => ({ body: value })

  it('is settled when each has answered, failed or gone; what comes later or twice is nothing', async () => {
    const question = new Question(['a', 'b', 'c'])
    question.settle('a', body('first'))
    question.settle('a', body('second'))
    question.settle('nobody', body('x'))
    question.miss('b')
    question.settle('b', body('late'))
    question.settle('c', { failure: { reason: 'failed', message: 'no' } })
    question.miss('c')
    question.giveUp()
    const { answers, failures, missing } = await question.settled
    expect([[...answers], [...failures], missing]).toEqual([
      [['a', 'first']],
      [['c', { reason: 'failed', message: 'no' }]],
      ['b'],
    ])
  })

  it('that nobody is asked is settled at once, and one that is given up with what is there', async () => {
    expect(await new Question([]).settled).toEqual({ answers: new Map(), failures: new Map(), missing: [] })
    const question = new Question(['a', 'b', 'a'])
    question.settle('b', body('yes'))
    question.giveUp()
    expect(await question.settled).toEqual({
      answers: new Map([['b', 'yes']]),
      failures: new Map(),
      missing: ['a'],
    })
  })

  it('accounts for each that was asked exactly once, whatever happens in which order', async () => {
    const step = fc.tuple(fc.constantFrom('answer', 'fail', 'miss'), fc.constantFrom('a', 'b', 'c', 'd', 'x'))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async steps => {
        const runsAsked = ['a', 'b', 'c', 'd']
        const question = new Question(runsAsked)
        for (const [what, run] of steps) {
          if (what === 'miss') question.miss(run)
          else if (what === 'answer') question.settle(run, body(run))
          else question.settle(run, { failure: { reason: 'failed', message: run } })
        }
        question.giveUp()
        const { answers, failures, missing } = await question.settled
        expect([...answers.keys(), ...failures.keys(), ...missing].sort()).toEqual(runsAsked)
      }),
      runs(200),
    )
  })
})

describe('several questions as one', () => {
  const asked = (answers: object, failed: string[] = [], missing: string[] = []) => ({
    answers: new Map<string, Json>(Object.entries(answers)),
    failures: new Map(failed.map(run => [run, { reason: 'failed' as const, message: 'no' }])),
    missing,
  })

  it('add up what was counted, and know who has not answered all of them', () => {
    const first = asked({ a: { matched: 2, slow: 1 }, b: { matched: 1 }, c: 'x' }, ['d'], ['e'])
    const second = asked({ a: { matched: 3 }, d: { matched: 1 } }, ['b', 'e'])
    expect(together([first, second])).toEqual(
      asked({ a: { matched: 5, slow: 1 }, c: 'x' }, ['d', 'b'], ['e']),
    )
    expect(together([first])).toBe(first)
    expect(together([])).toEqual(asked({}))
  })
})

describe('a message of a node', () => {
  const envelope = { from: 'run', seq: 1 }
  const whole: NodeMessage[] = [
    { ...envelope, kind: 'tell', topic: 'send', body: { deep: [1] } },
    { ...envelope, kind: 'ask', topic: 'close', body: null, ask: 7 },
    { ...envelope, kind: 'answer', ask: 7, outcome: { body: [1] } },
    { ...envelope, kind: 'answer', ask: 7, outcome: { failure: { reason: 'failed', message: 'no' } } },
  ]

  it.each(whole)('is read as it was written: %o', message => {
    expect(decodeNodeMessage(encodeNodeMessage(message))).toEqual({ v: 1, ...message })
  })

  it.each([
    'no JSON',
    'null',
    '[]',
    '7',
    '{}',
    '{"v":2,"from":"a","seq":1,"kind":"tell","topic":"x"}',
    '{"v":1,"from":7,"seq":1,"kind":"tell","topic":"x"}',
    '{"v":1,"from":"a","seq":"1","kind":"tell","topic":"x"}',
    '{"v":1,"from":"a","seq":1.5,"kind":"tell","topic":"x"}',
    '{"v":1,"from":"a","seq":1,"kind":"tell"}',
    '{"v":1,"from":"a","seq":1,"kind":"tell","topic":7}',
    '{"v":1,"from":"a","seq":1,"kind":"shout","topic":"x","ask":1}',
    '{"v":1,"from":"a","seq":1,"kind":"ask","topic":"x"}',
    '{"v":1,"from":"a","seq":1,"kind":"ask","topic":"x","ask":"1"}',
    '{"v":1,"from":"a","seq":1,"kind":"answer","ask":1}',
    '{"v":1,"from":"a","seq":1,"kind":"answer","ask":1,"outcome":null}',
    '{"v":1,"from":"a","seq":1,"kind":"answer","ask":1,"outcome":{}}',
    '{"v":1,"from":"a","seq":1,"kind":"answer","ask":1,"outcome":{"failure":{"message":7}}}',
    '{"v":1,"from":"a","seq":1,"kind":"answer","ask":1,"outcome":{"failure":"x"}}',
  ])('is none of ours: %s', text => {
    expect(decodeNodeMessage(text)).toBeUndefined()
  })

  it('is whole wherever it is read, and reading throws at nothing', () => {
    const name = fc.constantFrom('v', 'from', 'seq', 'kind', 'topic', 'body', 'ask', 'outcome', '__proto__')
    const changed = fc
      .tuple(fc.constantFrom(...whole), name, fc.jsonValue())
      .map(([message, field, value]) => {
        const change = JSON.parse(`{${JSON.stringify(field)}:${JSON.stringify(value)}}`)
        return JSON.stringify({ v: 1, ...message, ...change })
      })
    const cut = fc
      .tuple(fc.constantFrom(...whole), fc.nat(80))
      .map(([message, length]) => encodeNodeMessage(message).slice(0, length))
    fc.assert(
      fc.property(fc.oneof(changed, cut, fc.json(), fc.string({ unit: 'binary' })), text => {
        const message = decodeNodeMessage(text)
        if (!message) return
        expect(typeof message.from).toBe('string')
        expect(Number.isSafeInteger(message.seq)).toBe(true)
        if (message.kind !== 'tell') expect(Number.isSafeInteger(message.ask)).toBe(true)
        if (message.kind !== 'answer') expect(typeof message.topic).toBe('string')
        else if ('failure' in message.outcome) expect(typeof message.outcome.failure.message).toBe('string')
        else expect(message.outcome).toHaveProperty('body')
      }),
      runs(500),
    )
  })
})

describe('a payload', () => {
  it('is what JSON makes of any value, or refused in words', () => {
    fc.assert(
      fc.property(oddValue, value => {
        try {
          expect(payloadOf(value)).toEqual(JSON.parse(JSON.stringify(value ?? null)))
        } catch (error) {
          expect(error).toBeInstanceOf(OptionError)
          expect((error as Error).message).toMatch(/^data: JSON cannot hold /)
        }
      }),
      runs(300),
    )
  })

  it('is measured in bytes of JSON', () => {
    expect(payloadOf('x'.repeat(65_534))).toHaveLength(65_534)
    for (const large of ['x'.repeat(65_535), 'é'.repeat(32_768), '"'.repeat(32_768)])
      expect(() => payloadOf(large)).toThrow(PayloadTooLargeError)
  })
})
