// @ts-check
// The same for every store that is compared, as far as it has such options. Durations are milliseconds.

export const SESSION_TTL = 86_400_000
/** What ClusteredRedisStore has by default as `cache.ttl`. */
export const MEMORY_TTL = 30_000
export const MAX_IN_MEMORY = 10_000
/** The deadline that ClusteredRedisStore has by default. */
export const COMMAND_TIMEOUT = 1_000
