// @ts-check

/**
 * Another order in each round, and another neighbour: nobody is always first, or always after the same one.
 *
 * @template Each
 * @param {readonly Each[]} all
 * @param {number} round
 */
export function orderOf(all, round) {
  const first = round % all.length
  const turned = [...all.slice(first), ...all.slice(0, first)]
  return round % 2 === 0 ? turned : turned.reverse()
}
