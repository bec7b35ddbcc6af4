export const OURS = 'clustered-redis-store'

/** What is put under load: this store, and others that answer from memory. */
export const stores: readonly string[] = [OURS]
