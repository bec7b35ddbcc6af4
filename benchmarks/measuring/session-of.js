// @ts-check

const LIFE = 86_400_000
const SKU = 24

/**
 * A session as an ordinary app has it, with a cart as full as it takes to be so many bytes of JSON.
 *
 * @param {number} bytes
 * @returns {import('express-session').SessionData}
 */
export function sessionOf(bytes) {
  const session = {
    cookie: {
      originalMaxAge: LIFE,
      expires: new Date(Date.now() + LIFE),
      secure: true,
      httpOnly: true,
      path: '/',
      sameSite: 'lax',
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
  return /** @type {never} */ (session)
}
