// @ts-check

/**
 * The id is what stands in the session and in the name of the index in Redis. It is opaque: a name or an e-mail address
 * would be seen by whoever sees the keys.
 *
 * @typedef {{ id: string, name: string, role: 'customer' | 'security' }} User
 * @type {readonly User[]}
 */
export const users = [
  { id: 'u-7f3a', name: 'alice', role: 'customer' },
  { id: 'u-19c4', name: 'bob', role: 'customer' },
  { id: 'u-e05d', name: 'carol', role: 'customer' },
  { id: 'u-b21e', name: 'sam', role: 'security' },
]

/** @param {unknown} id */
export function userOf(id) {
  return users.find(user => user.id === id)
}
