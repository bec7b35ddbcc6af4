// @ts-check
// What start.js has told this process.
const { env } = process

export const name = env.NODE_ID ?? 'node-1'
export const port = Number(env.PORT ?? 3001)
export const redisUrl = env.REDIS_URL ?? 'redis://127.0.0.1:6379'
export const secret = env.SESSION_SECRET ?? 'a secret for development'

/** @type {{ name: string, port: number }[]} */
export const nodes = JSON.parse(env.DEMO_NODES ?? JSON.stringify([{ name, port }]))
