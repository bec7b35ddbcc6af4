/** What stands between a fault and a session that is served although it was ended. */
export const mutatedFiles: readonly string[] = [
  'src/base/clock.ts',
  'src/cache/fences.ts',
  'src/cache/local-cache.ts',
  'src/cache/snapshot.ts',
  'src/cache/stale-copies.ts',
  'src/bus/echo-lease.ts',
  'src/bus/line.ts',
  'src/bus/coordinator.ts',
  'src/sessions/sighting.ts',
  'src/sessions/reads-under-way.ts',
  'src/base/write-order.ts',
]
