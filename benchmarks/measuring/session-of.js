// @ts-check

/** Of a session, from now on, ms. */
export const LIFE = 86_400_000
const SKU = 24

/** A session as an ordinary app has it, with a cart as full as it takes to be so many bytes of JSON. @param {number} bytes */
export function sessionOf(bytes) {
  const session = {
    cookie: {
      originalMaxAge: LIFE,
      expires: new Date(Date.now() + LIFE),
      secure: true,
      httpOnly: true,
      path: '/',
      sameSite: /** @type {const} */ ('lax'),
    },
    passport: { user: 12_345 },
    user: { name: 'Alice Example', email: 'alice@example.com', roles: ['customer', 'editor'] },
    csrf: '0123456789abcdef0123456789abcdef',
    flash: {},
    theme: 'dark',
    /** @type {{ sku: string, qty: number, price: number }[]} */
    cart: [],
  }
  for (let number = 0; JSON.stringify(session).length < bytes - SKU; number++) {
    session.cart.push({ sku: `sku-${number}`, qty: (number % 5) + 1, price: 9.99 + number })
  }
  return session
}

/** @type {Map<number, ReturnType<typeof sessionOf>>} */
const patterns = new Map()

/**
 * Sessions of one shape and length that share no text, as those of different users do: made anew each time, so that nobody but
 * a cache keeps them.
 *
 * @param {number} userId
 * @param {number} bytes
 */
export function sessionOfUser(userId, bytes) {
  const pattern = patterns.get(bytes) ?? sessionOf(bytes)
  patterns.set(bytes, pattern)
  const user = String(userId % 1_000_000).padStart(6, '0')
  return {
    ...pattern,
    passport: { user: userId },
    user: { name: `Alice ${user}`, email: `alice-${user}@example.com`, roles: ['customer', 'editor'] },
    csrf: userId.toString(16).padStart(32, 'c'),
  }
}
