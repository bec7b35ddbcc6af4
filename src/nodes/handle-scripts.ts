import { script } from '../redis/script.js'
import { LIVES, STORED } from './stored-format.js'

// A handle stands as format, boot and field of the node that has registered it. It leads somewhere only as long as that run
// of the node lives; what a dead one has left is swept away by whoever notices.

/** How many are swept away in one step. */
const SWEPT_AT_ONCE = 200

/**
 * KEYS    handles, those of this boot, leases, entries
 * ARGV    boot, field, handle, ...
 * Output  'fenced' if this run of the node does not live; else { handle, entry of the other, ... } for those that are taken
 */
export const registerHandlesScript = script(
  'register handles',
  `
local handles, mine, leases, entries = unpack(KEYS)
${LIVES}
local boot, field = ARGV[1], ARGV[2]
if not lives(boot, field) then return 'fenced' end
local taken = {}
for i = 3, #ARGV do
  local held = redis.call('HGET', handles, ARGV[i])
  local other = held and bootOf(held) ~= boot and lives(bootOf(held), restOf(held))
  if other then
    taken[#taken + 1] = ARGV[i]
    taken[#taken + 1] = other
  else
    redis.call('HSET', handles, ARGV[i], stored(boot, field))
    redis.call('ZADD', mine, 0, ARGV[i])
  end
end
return taken`,
)

/**
 * KEYS    handles, those of this boot
 * ARGV    boot, handle
 * Output  1 if it was removed, 0 if it is not this boot's
 */
export const removeHandleScript = script(
  'remove a handle',
  `${STORED}
local held = redis.call('HGET', KEYS[1], ARGV[2])
if not held or bootOf(held) ~= ARGV[1] then return 0 end
redis.call('ZREM', KEYS[2], ARGV[2])
return redis.call('HDEL', KEYS[1], ARGV[2])`,
)

/**
 * KEYS    handles, leases, entries
 * ARGV    handle
 * Output  the entry of the node that it leads to, '' if it leads nowhere
 */
export const resolveHandleScript = script(
  'resolve a handle',
  `
#!lua flags=no-writes
local handles, leases, entries = unpack(KEYS)
${LIVES}
local held = redis.call('HGET', handles, ARGV[1])
return held and lives(bootOf(held), restOf(held)) or ''`,
  { readOnly: true },
)

/**
 * KEYS    handles, those of a boot that is over
 * ARGV    that boot
 * Output  how many may be left
 */
export const sweepScript = script(
  'sweep',
  `${STORED}
local swept = redis.call('ZRANGE', KEYS[2], 0, ${SWEPT_AT_ONCE - 1})
for _, handle in ipairs(swept) do
  local held = redis.call('HGET', KEYS[1], handle)
  if held and bootOf(held) == ARGV[1] then redis.call('HDEL', KEYS[1], handle) end
  redis.call('ZREM', KEYS[2], handle)
end
return #swept`,
)
