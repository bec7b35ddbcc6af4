// @ts-check
import { OURS, UNCACHED } from '../contenders/contenders.js'
import { placed, short } from './short.js'

/**
 * The first line of each answer.
 *
 * @param {import('./tables.js').Result} result
 */
export function cachedAgainstUncached({ points, compared, better, advantage, withoutCache, axis }) {
  if (withoutCache) return `**Cached against uncached**: ${withoutCache}.`
  const places = compared ?? advantagesIn(points, better)
  const told = places.map(
    ({ at, times }) => `${short(times)} times (${compared ? '' : `${axis}: `}${placed(at)})`,
  )
  return `**Cached against uncached**: ${told.join(', ')} ${advantage}.`
}

/**
 * How many times better one is than another, wherever both were measured.
 *
 * @param {readonly import('../measuring/points.js').Point[]} points
 * @param {'less' | 'more'} better
 * @param {string} [cached]
 * @param {string} [uncached]
 */
export function advantagesIn(points, better, cached = OURS, uncached = UNCACHED) {
  return points.flatMap(({ contender, at, value }) => {
    const other = points.find(each => each.contender === uncached && each.at === at)
    if (contender !== cached || !other) return []
    const ratio = value.median / other.value.median
    return [{ at, times: better === 'more' ? ratio : 1 / ratio }]
  })
}
