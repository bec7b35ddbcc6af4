import { flag, invalidUnquoted, isObject, orElse } from '../base/checks.js'
import { OptionError } from '../base/errors.js'
import { type EncryptionKey, KEY_BYTES, keyBytes } from '../codec/key-ring.js'
import { checkNamesOfKey } from './names.js'
import { formOf } from './option-group.js'
import type { StoreOptions } from './store-options.js'

const SHORTEST_PASSPHRASE = 16
const KEY_ID = /^[\w.-]{1,64}$/

export interface EncryptionConfig {
  readonly keys: readonly EncryptionKey[]
  readonly write: boolean
  readonly acceptPlaintext: boolean
}

/** No message quotes what was given: it may be a secret, also where none belongs. */
export function parseEncryption(encryption: StoreOptions['encryption']): EncryptionConfig | false {
  if (encryption === undefined || encryption === false) return false
  if (!isObject(encryption)) {
    throw invalidUnquoted('encryption', encryption, formOf('encryption'))
  }
  const { keys } = encryption
  if (!Array.isArray(keys) || keys.length === 0) {
    throw invalidUnquoted('encryption.keys', keys, 'a list of { id, secret } with at least one')
  }
  const parsed = keys.map((key: unknown, index) => parseKey(`encryption.keys[${index}]`, key))
  const again = parsed.find(({ id }, index) => parsed.findIndex(other => other.id === id) !== index)
  if (again) throw new OptionError(`encryption.keys: got the id '${again.id}' twice, allowed is each id once`)
  const write = flag('encryption.write', orElse(encryption.write, true))
  const acceptPlaintext = flag('encryption.acceptPlaintext', orElse(encryption.acceptPlaintext, !write))
  if (!write && !acceptPlaintext) {
    throw new OptionError(
      'encryption.acceptPlaintext: got false while encryption.write is false, allowed is true: this node could not read what it writes',
    )
  }
  return { keys: parsed, write, acceptPlaintext }
}

function parseKey(name: string, key: unknown): EncryptionKey {
  if (!isObject(key)) throw invalidUnquoted(name, key, '{ id, secret }')
  checkNamesOfKey(name, key)
  const { id, secret } = key as Partial<EncryptionKey>
  // An id stands in front of every record: a secret in its place must not get that far.
  if (typeof id !== 'string' || !KEY_ID.test(id) || keyBytes(id)) {
    throw invalidUnquoted(
      `${name}.id`,
      id,
      'up to 64 letters, digits, dots, dashes and underscores that are no key',
    )
  }
  return { id, secret: checkSecret(`${name}.secret`, secret) }
}

function checkSecret(name: string, secret: unknown): string | Uint8Array {
  const allowed = `a key of ${KEY_BYTES} bytes (a Buffer, 64 hex digits or base64) or a passphrase of at least ${SHORTEST_PASSPHRASE} characters`
  if (typeof secret !== 'string' && !(secret instanceof Uint8Array)) {
    throw invalidUnquoted(name, secret, allowed)
  }
  if (typeof secret === 'string' && secret.trim() !== secret) {
    throw new OptionError(
      `${name}: got a string that begins or ends with white space, such as the line end of a file, allowed is ${allowed}`,
    )
  }
  const bytes = keyBytes(secret)
  if (!bytes && /^(0x)?[0-9a-f]+$/i.test(secret as string)) {
    throw new OptionError(`${name}: got ${secret.length} hex digits, allowed is ${allowed}`)
  }
  if (bytes && bytes.length !== KEY_BYTES) {
    throw new OptionError(`${name}: got ${bytes.length} bytes, allowed is ${allowed}`)
  }
  if (!bytes && secret.length < SHORTEST_PASSPHRASE) {
    throw new OptionError(`${name}: got a passphrase of ${secret.length} characters, allowed is ${allowed}`)
  }
  // A copy: what the app does to its buffer afterwards must not matter.
  return typeof secret === 'string' ? secret : Uint8Array.from(secret)
}
