import { isDeepStrictEqual } from 'node:util'

/**
 * A merge for the option `conflicts`: of each key of the session what `mine` has made of it, or, where `mine` has left it as
 * it was, what `theirs` has made of it; to remove a key is a change, too. Values are taken as they are and never looked
 * into. Where both have changed the same key `mine` wins, as the later of two saves does.
 */
export function mergeTopLevel<Session extends object>(
  base: Session,
  mine: Session,
  theirs: Session,
): Session {
  const keys = new Set([...Object.keys(theirs), ...Object.keys(mine)])
  const merged = [...keys].flatMap(key => {
    const source = isDeepStrictEqual(ownValue(base, key), ownValue(mine, key)) ? theirs : mine
    return Object.hasOwn(source, key) ? [[key, ownValue(source, key)]] : []
  })
  // Defines each key, also one named `__proto__`.
  return Object.fromEntries(merged)
}

function ownValue(session: object, key: string): unknown {
  return Object.hasOwn(session, key) ? (session as Record<string, unknown>)[key] : undefined
}
