import type { ClusterOptions, RedisOptions } from 'ioredis'

// Left open, the mapping of replies would make every client a union of the two ways to read them.
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>

export type ClusterClientOptions = Omit<ClusterOptions, 'redisOptions'> & {
  redisOptions?: Omit<NonNullable<ClusterOptions['redisOptions']>, 'replyMapping'>
}
