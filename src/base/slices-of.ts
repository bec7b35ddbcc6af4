/** A list in lists of at most `size`. */
export function* slicesOf<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}

/** The pairs in a list that has them one after the other, as Redis answers. */
export function* pairsOf<T>(flat: readonly T[]): Generator<[T, T]> {
  for (const pair of slicesOf(flat, 2)) yield pair as [T, T]
}
