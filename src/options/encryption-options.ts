import { OptionError } from '../base/errors.js'
import { type EncryptionKey, keyBytes } from '../codec/key-ring.js'
import { flag, invalid, isObject, text } from './checks.js'
import { checkNamesOfKey } from './names.js'
import type { StoreOptions } from './store-options.js'

const KEY_BYTES = 32
const SHORTEST_PASSPHRASE = 16
const KEY_ID = /^[\w.-]{1,64}$/

export interface EncryptionConfig {
  readonly keys: readonly EncryptionKey[]
  readonly write: boolean
  readonly acceptPlaintext: boolean
}

/** No message quotes a secret. */
export function parseEncryption(
  encryption: Exclude<StoreOptions['encryption'], false | undefined>,
): EncryptionConfig {
  const { keys } = encryption
  if (!Array.isArray(keys) || keys.length === 0) {
    throw invalid('encryption.keys', keys, 'a list of { id, secret } with at least one')
  }
  const parsed = keys.map((key: unknown, index) => parseKey(`encryption.keys[${index}]`, key))
  const again = parsed.find(({ id }, index) => parsed.findIndex(other => other.id === id) !== index)
  if (again) throw new OptionError(`encryption.keys: got the id '${again.id}' twice, allowed is each id once`)
  const write = flag('encryption.write', encryption.write ?? true)
  const acceptPlaintext = flag('encryption.acceptPlaintext', encryption.acceptPlaintext ?? !write)
  if (!write && !acceptPlaintext) {
    throw new OptionError(
      'encryption.acceptPlaintext: got false while encryption.write is false, allowed is true: this node could not read what it writes',
    )
  }
  return { keys: parsed, write, acceptPlaintext }
}

function parseKey(name: string, key: unknown): EncryptionKey {
  if (!isObject(key)) throw invalid(name, typeof key === 'string' ? 'a string' : key, '{ id, secret }')
  checkNamesOfKey(name, key)
  const { id, secret } = key as Partial<EncryptionKey>
  if (!KEY_ID.test(text(`${name}.id`, id))) {
    throw invalid(`${name}.id`, id, 'up to 64 letters, digits, dots, dashes and underscores')
  }
  return { id: id as string, secret: checkSecret(`${name}.secret`, secret) }
}

function checkSecret(name: string, secret: unknown): string | Uint8Array {
  const allowed = `a key of ${KEY_BYTES} bytes (a Buffer, 64 hex digits or base64) or a passphrase of at least ${SHORTEST_PASSPHRASE} characters`
  if (typeof secret !== 'string' && !(secret instanceof Uint8Array)) {
    throw new OptionError(`${name}: got ${secret === null ? 'null' : typeof secret}, allowed is ${allowed}`)
  }
  const bytes = keyBytes(secret)
  if (bytes && bytes.length !== KEY_BYTES) {
    throw new OptionError(`${name}: got ${bytes.length} bytes, allowed is ${allowed}`)
  }
  if (!bytes && secret.length < SHORTEST_PASSPHRASE) {
    throw new OptionError(`${name}: got a passphrase of ${secret.length} characters, allowed is ${allowed}`)
  }
  // A copy: what the app does to its buffer afterwards must not matter.
  return typeof secret === 'string' ? secret : Uint8Array.from(secret)
}
