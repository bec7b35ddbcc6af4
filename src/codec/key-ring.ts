import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  hkdfSync,
  type KeyObject,
  randomBytes,
  scryptSync,
} from 'node:crypto'
import { RecordError, UnreadableError } from '../base/errors.js'

const CIPHER = 'aes-256-gcm'
export const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** As OWASP recommends it for a memory of 32 MiB; about a fifth of a second, once for each passphrase. */
const SCRYPT = { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 1024 * 1024 }

export interface EncryptionKey {
  /** Stands in front of every record that is written under it. */
  readonly id: string
  /** 32 bytes, as they are or in hexadecimal or base64; or a passphrase. */
  readonly secret: string | Uint8Array
}

/** Encrypts under the first of its keys, and decrypts under all. AES-256-GCM, a random nonce for every record. */
export class KeyRing {
  /** The id of the key that writes. */
  readonly writes: string
  readonly #keys = new Map<string, KeyObject>()

  constructor(keys: readonly EncryptionKey[]) {
    for (const key of keys) this.#keys.set(key.id, derive(key))
    this.writes = (keys[0] as EncryptionKey).id
  }

  /** Nonce, ciphertext and tag. `header` and `binding` are not in it, but it opens with the same ones only. */
  encrypt(payload: Buffer, header: Buffer, binding: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, this.#keys.get(this.writes) as KeyObject, nonce, {
      authTagLength: TAG_BYTES,
    })
    cipher.setAAD(Buffer.concat([header, Buffer.from(binding)]))
    return Buffer.concat([nonce, cipher.update(payload), cipher.final(), cipher.getAuthTag()])
  }

  decrypt(keyId: string, body: Buffer, header: Buffer, binding: string): Buffer {
    const key = this.#keys.get(keyId)
    if (!key) throw unknownKey(keyId, [...this.#keys.keys()])
    if (body.length < NONCE_BYTES + TAG_BYTES) throw new UnreadableError('it is cut off')
    const decipher = createDecipheriv(CIPHER, key, body.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(Buffer.concat([header, Buffer.from(binding)]))
    decipher.setAuthTag(body.subarray(-TAG_BYTES))
    try {
      return Buffer.concat([decipher.update(body.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
    } catch {
      throw new UnreadableError('it was not written for this session, or was changed since')
    }
  }
}

/** Whoever has not got the key is set up wrongly, and every session would be lost to it: this must be heard. */
export function unknownKey(keyId: string, known: readonly string[]): RecordError {
  const shown = /^[\w.-]+$/.test(keyId) ? `'${keyId}'` : 'with an unreadable id'
  const has = known.length === 0 ? 'none' : known.map(id => `'${id}'`).join(', ')
  return new RecordError(
    'ERR_UNKNOWN_KEY',
    `The stored session is encrypted under the key ${shown}, which is not in encryption.keys of this node; it has ${has}`,
  )
}

/** The 32 bytes of a key, or undefined for a passphrase. */
export function keyBytes(secret: string | Uint8Array): Uint8Array | undefined {
  if (typeof secret !== 'string') return secret
  if (/^[0-9a-f]{64}$/i.test(secret)) return Buffer.from(secret, 'hex')
  return /^[A-Za-z0-9+/_-]{43}=?$/.test(secret) ? Buffer.from(secret, 'base64') : undefined
}

/** A key of its own for this purpose, so that the secret may serve others as well. */
function derive({ id, secret }: EncryptionKey): KeyObject {
  // Every node must come to the same key, so the salt can only be made of what they all know.
  const master = keyBytes(secret) ?? scryptSync(String(secret), `crs:passphrase:1:${id}`, KEY_BYTES, SCRYPT)
  return createSecretKey(Buffer.from(hkdfSync('sha256', master, '', `crs:record:1:${id}`, KEY_BYTES)))
}
