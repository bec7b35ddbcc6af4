/** Names and values, which Redis answers by turns in one list. */
export function pairsOf<T>(flat: readonly T[]): [name: T, value: T][] {
  const pairs: [T, T][] = []
  for (let index = 0; index + 1 < flat.length; index += 2) {
    pairs.push([flat[index] as T, flat[index + 1] as T])
  }
  return pairs
}
