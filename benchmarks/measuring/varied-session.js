// @ts-check
// Sessions whose text is as varied as that of real ones, for what compresses it. Always the same ones.
import { LIFE } from './session-of.js'

let seed = 1
/** @param {number} below */
function random(below) {
  seed = (seed * 48_271) % 2_147_483_647
  return seed % below
}

/** @param {number} digits */
function hex(digits) {
  return Array.from({ length: digits }, () => random(16).toString(16)).join('')
}

/** @template T @param {readonly T[]} list @returns {T} */
function oneOf(list) {
  return /** @type {T} */ (list[random(list.length)])
}

const WORDS =
  'red blue small large cotton steel garden kitchen lamp chair table shirt mug knife pan rug'.split(' ')

/** As an app would keep it: who it is, what he may do, what he has put into the cart and seen of late. @param {number} bytes */
export function variedSessionOf(bytes) {
  const session = {
    cookie: {
      originalMaxAge: LIFE,
      expires: '2031-03-14T15:09:26.535Z',
      secure: true,
      httpOnly: true,
      path: '/',
    },
    passport: { user: 1_729_041 },
    csrf: hex(24),
    user: {
      name: 'Ada Lovelace',
      email: 'ada.lovelace@example.com',
      locale: 'en-GB',
      roles: ['customer', 'editor'],
    },
    flash: {},
    /** @type {object[]} */
    cart: [],
    /** @type {object[]} */
    viewed: [],
  }
  const rest = () => bytes - Buffer.byteLength(JSON.stringify(session))
  const product = () => ({
    sku: `${oneOf(WORDS).slice(0, 3).toUpperCase()}-${hex(3)}`,
    name: `${oneOf(WORDS)} ${oneOf(WORDS)}`,
    price: (100 + random(20_000)) / 100,
  })
  while (rest() > 110) {
    if (random(4) === 0)
      session.cart.push({ ...product(), quantity: 1 + random(3), options: { size: oneOf(WORDS) } })
    else session.viewed.push({ ...product(), at: 1_931_000_000 + random(1_000_000) })
  }
  const words = Array.from({ length: 30 }, () => oneOf(WORDS)).join(' ')
  return Object.assign(session, { note: words.slice(0, Math.max(0, rest() - 10)) })
}
