import { script } from '../redis/script.js'
import { MESSAGE_VERSION } from './registry-message.js'
import { STORED, TIME } from './stored-format.js'

// An entry is what one lease stands for: a node with its services, or an instance that no node stands behind. Only the
// process that has written it changes it; `boot` tells one run of a process from another. Every change of the entries moves
// the version and is told, so that who has seen all of them knows the entries without asking. A version is an epoch and a
// number, both times in microseconds: a new epoch says that Redis has lost its data.

/**
 * What the scripts of entries have in common.
 *
 * KEYS    leases, entries, version, reports, remains
 * ARGV    channel, and what each takes
 * Output  { status, version, messages that were sent, detail, a boot of which something is left or '', in how many ms the
 *         first of all leases ends }
 */
const ENTRIES = `
local leases, entries, version, reports, remains = unpack(KEYS)
local channel = ARGV[1]
local messages = {}
${TIME}${STORED}
-- The message goes first: who may not use the channel is refused before anything is written.
local function tell(change)
  local before = redis.call('GET', version) or ''
  local epoch, number = string.match(before, '^(%d+):(%d+)$')
  local after = (epoch or digits(micros)) .. ':' .. digits(math.max((number or 0) + 1, micros))
  local message = '{"v":${MESSAGE_VERSION},"from":"' .. before .. '","to":"' .. after .. '",' .. change .. '}'
  redis.call('PUBLISH', channel, message)
  redis.call('SET', version, after)
  messages[#messages + 1] = message
end

local function remove(fields)
  for _, field in ipairs(fields) do
    local value = redis.call('HGET', entries, field)
    if value then redis.call('ZADD', remains, 0, bootOf(value)) end
    redis.call('HDEL', entries, field)
    redis.call('HDEL', reports, field)
    redis.call('ZREM', leases, field)
  end
end

local function tellAndRemove(fields)
  local quoted = {}
  for i, field in ipairs(fields) do quoted[i] = '"' .. field .. '"' end
  tell('"gone":[' .. table.concat(quoted, ',') .. ']')
  remove(fields)
end

local function nodesIn(from, to)
  local count = 0
  for _, field in ipairs(redis.call('ZRANGEBYSCORE', leases, from, to)) do
    if string.sub(field, 1, 2) == 'n/' then count = count + 1 end
  end
  return count
end

-- Removes what is over. True if that is every node, of several: it was Redis that could not be reached, so nobody is told to
-- be gone. A new epoch lets each process keep what it knows for a while, as if the data were lost.
local function reap()
  local over = redis.call('ZRANGEBYSCORE', leases, '-inf', digits(now))
  if #over == 0 then return false end
  if nodesIn('-inf', digits(now)) < 2 or nodesIn('(' .. digits(now), '+inf') > 0 then
    tellAndRemove(over)
    return false
  end
  remove(over)
  redis.call('DEL', version)
  return true
end

local function answer(status, detail)
  local known = redis.call('GET', version) or ''
  local left = redis.call('ZRANGE', remains, 0, 0)[1] or ''
  local first = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')[2]
  return { status, known, messages, detail or '', left, first and digits(first - now) or '' }
end
`

/**
 * KEYS    as above
 * ARGV    channel, field, boot, how long the lease is, entry, report ('' for none), 'join' | 'renew' | 'takeover', the boot
 *         under which this process held the entry before ('' for none)
 * Output  as above; 'held' | 'lost' | 'over' | 'taken', for detail of 'taken' when the lease of the other ends, Redis' time, and
 *         its entry
 *
 * A renewal never brings back what has ended, and never touches what another holds. 'lost' is said where nothing stands:
 * Redis has lost its data, or the lease has ended; the process knows which.
 */
export const renewScript = script(
  'renew a lease',
  `${ENTRIES}
local field, boot, ttl, entry, report, how, former = unpack(ARGV, 2, 8)
local held = redis.call('HGET', entries, field)
local deadline = tonumber(redis.call('ZSCORE', leases, field) or 0)
local holder = held and bootOf(held)
local own = holder == boot or (former ~= '' and holder == former)
if held and not own and (how == 'renew' or (how == 'join' and deadline > now)) then
  return answer('taken', digits(deadline) .. ':' .. digits(now) .. ':' .. restOf(held))
end
if how == 'renew' and not held then return answer('lost') end
if how == 'renew' and deadline <= now then return answer('over') end
reap()
held = redis.call('HGET', entries, field)
local value = stored(boot, entry)
if held ~= value then
  tell('"set":{"' .. field .. '":' .. entry .. '}')
  if held and holder ~= boot then redis.call('ZADD', remains, 0, holder) end
  redis.call('HSET', entries, field, value)
end
redis.call('ZREM', remains, boot)
redis.call('ZADD', leases, digits(now + ttl), field)
if report ~= '' then redis.call('HSET', reports, field, report) end
return answer('held')`,
)

/**
 * KEYS    as above
 * ARGV    channel, field, boot
 * Output  as above; 'left', or 'lost' if it did not stand there any more
 */
export const leaveScript = script(
  'leave the cluster',
  `${ENTRIES}
local held = redis.call('HGET', entries, ARGV[2])
if not held or bootOf(held) ~= ARGV[3] then return answer('lost') end
tellAndRemove({ ARGV[2] })
return answer('left')`,
)

/**
 * KEYS    as above
 * ARGV    channel, the version that the caller knows
 * Output  as above; for detail '' if the caller knows all, else { field, format and boot and entry, ... }
 *
 * Who looks removes what is over: once, for whoever comes second finds nothing.
 */
export const lookScript = script(
  'look up nodes',
  `${ENTRIES}
local knowsAll = (redis.call('GET', version) or '') == ARGV[2]
if reap() then knowsAll = false end
return answer('seen', not knowsAll and redis.call('HGETALL', entries))`,
  { harmless: true },
)

/**
 * KEYS    reports
 * Output  { field, report, ... }
 */
export const reportsScript = script(
  'reports',
  `
#!lua flags=no-writes
return redis.call('HGETALL', KEYS[1])`,
  { readOnly: true },
)
