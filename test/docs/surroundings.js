// @ts-check
// What a snippet takes for granted that shows only a part of a program.
import { createServer } from 'node:http'
import { ClusteredRedisStore } from 'clustered-redis-store'
import express from 'express'
import { Redis } from 'ioredis'

export const redis = new Redis(process.env.REDIS_URL ?? '')
/** @type {ClusteredRedisStore<{ userId?: number }, 'userId'>} */
export const store = new ClusteredRedisStore({ redis, indexes: { userId: ({ userId }) => userId } })
export const app = express()
export const server = createServer(app).listen(0)
await store.ready()
