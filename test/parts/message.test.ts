import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeMessage, encodeMessage, type MessageBody } from '../../src/bus/message.js'

const sender = { node: 'n', instance: 'i', round: 0 }

describe('a message', () => {
  it.each<MessageBody>([
    { type: 'SessionDeleted', ids: ['a', 'b'] },
    { type: 'SessionInvalidated', ids: ['a'] },
    { type: 'CacheClear' },
  ])('of type $type arrives as it was sent', body => {
    const text = encodeMessage(sender, body)
    expect(decodeMessage(text)).toEqual({ kind: 'message', message: { v: 1, ...sender, ...body } })
  })

  it('of a newer version is told from nonsense', () => {
    expect(decodeMessage('{"v":2,"type":"Whatever"}')).toEqual({ kind: 'newer' })
  })

  it.each([
    'nonsense',
    'null',
    '[]',
    '{}',
    '{"v":1,"type":"SessionDeleted"}',
    '{"v":1,"type":"SessionDeleted","node":"n","instance":"i","round":0,"ids":"s"}',
    '{"v":1,"type":"SessionDeleted","node":"n","instance":"i","round":0,"ids":[1]}',
    '{"v":1,"type":"Other","node":"n","instance":"i","round":0}',
    '{"v":1,"type":"CacheClear","node":1,"instance":"i","round":0}',
    `{"v":1,"type":"CacheClear","node":"n","instance":"i","round":0,"x":"${'x'.repeat(1024 * 1024)}"}`,
  ])('that is none is unreadable: %.60s', text => {
    expect(decodeMessage(text)).toEqual({ kind: 'unreadable' })
  })

  it('is decoded without an error, whatever arrives', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), text => void decodeMessage(text)))
  })
})
