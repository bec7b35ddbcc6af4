// @ts-check

import { bulk } from './bulk.js'
import { coldStart } from './cold-start.js'
import { commands } from './commands.js'
import { fleet } from './fleet.js'
import { hit } from './hit.js'
import { http } from './http.js'
import { memory } from './memory.js'
import { miss } from './miss.js'
import { options } from './options.js'
import { request } from './request.js'
import { revocation } from './revocation.js'
import { write } from './write.js'

/**
 * @typedef {object} Context
 * @property {number} rounds
 * @property {number} time ms for each contender in each round
 * @property {boolean} quick
 * @property {(settings?: readonly string[]) => Promise<{ url: string }>} startRedis a server of its own, that ends with the question
 * @property {() => Promise<{ urls: readonly string[] }>} startRedisCluster three primaries of their own
 * @property {(url: string, ms: number) => Promise<string>} slowDown the same server, so many ms away
 * @property {(steps: number) => void} plan
 * @property {(what: string) => void} step
 *
 * @typedef {object} Answer
 * @property {readonly import('../measuring/points.js').Point[]} points
 * @property {readonly import('../measuring/points.js').Goal[]} goals
 * @property {readonly { at: string | number, times: number }[]} [compared] cached against uncached, where the points do not tell
 * @property {readonly { title: string, unit: string, plotAs?: string, points: readonly import('../measuring/points.js').Point[] }[]} [also]
 *
 * @typedef {object} Question
 * @property {string} name
 * @property {string} asks
 * @property {string} measured
 * @property {string} unit
 * @property {string} axis
 * @property {string | undefined} baseline what all are divided by
 * @property {'less' | 'more'} better
 * @property {string} [advantage] in what cached is so many times better than uncached
 * @property {string} [withoutCache] what to say of it where it is not measured
 * @property {Readonly<Record<string, string>>} [notes] on contenders
 * @property {number} [plotUpTo] where longer bars are cut, so that the others can be told apart
 * @property {boolean} [logarithmic] whether bars would be too different to be seen beside each other
 * @property {(context: Context) => Promise<Answer>} run
 */

/** @type {readonly Question[]} */
export const questions = [
  hit,
  miss,
  write,
  commands,
  http,
  request,
  revocation,
  memory,
  fleet,
  bulk,
  coldStart,
  options,
]
