// @ts-check

/**
 * What nodes ask of Redis, per second.
 *
 * @typedef {object} Cost
 * @property {number} commands sent by nodes; what scripts do inside is not counted
 * @property {number} bytesIn
 * @property {number} bytesOut
 * @property {number} cpu ms
 */

/** @typedef {import('ioredis').Redis} Redis */

/**
 * What one or more servers do while something is done.
 *
 * @template Done
 * @param {readonly Redis[]} servers
 * @param {() => Promise<Done>} deed
 * @returns {Promise<{ cost: Cost, done: Done, seconds: number }>}
 */
export async function meter(servers, deed) {
  const before = await Promise.all(servers.map(read))
  const began = performance.now()
  const done = await deed()
  const seconds = (performance.now() - began) / 1000
  const after = await Promise.all(servers.map(read))
  // The first answer counts as sent only once it was taken.
  const asking = before.reduce((sum, { length }) => sum + length, 0)
  const grown = (/** @type {keyof Cost} */ what) =>
    after.reduce((sum, each, index) => sum + each[what] - (before[index]?.[what] ?? 0), 0)
  return {
    cost: {
      commands: grown('commands') / seconds,
      bytesIn: grown('bytesIn') / seconds,
      bytesOut: (grown('bytesOut') - asking) / seconds,
      cpu: grown('cpu') / seconds,
    },
    done,
    seconds,
  }
}

/** @param {Redis} redis */
async function read(redis) {
  const info = await redis.info('all')
  const number = (/** @type {string} */ name) =>
    Number(new RegExp(`^${name}[:=]([\\d.]+)`, 'm').exec(info)?.[1] ?? 0)
  const calls = (/** @type {string} */ command) =>
    Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(info)?.[1] ?? 0)
  return {
    // All that a store sends while it is at work are scripts.
    commands: calls('evalsha') + calls('eval'),
    bytesIn: number('total_net_input_bytes'),
    bytesOut: number('total_net_output_bytes'),
    cpu: (number('used_cpu_user') + number('used_cpu_sys')) * 1000,
    length: Buffer.byteLength(info),
  }
}
