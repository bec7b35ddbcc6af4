/**
 * What stands between a fault and a session that is served although it was ended; and between a fault and a node that acts in
 * a name that it has lost, or one that is asked although it is gone.
 */
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
  'src/base/keyed-order.ts',
  'src/nodes/claim.ts',
  'src/nodes/directory.ts',
  'src/services/service-instance.ts',
  'src/services/pick.ts',
]
