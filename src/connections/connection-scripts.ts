import { script } from '../redis/script.js'

// The connections of one process stand in one hash: number -> row. Sets name those of a session or of a user by their ids. A
// row is written before a set names it and removed after, so that whoever finds the rows of a dead process finds everything
// that it has left.
//
// Names bear the number of the lease under which they were written, as rows bear its boot, and a process that comes back writes
// all of its own anew under the next one. So what removes the remains of one lease takes neither name nor row of a later one,
// in whatever order its commands and those of the process are executed, and it has nothing to put back.

/**
 * KEYS    any
 * ARGV    channel ('' for no message), message; then for each key a command and two of its arguments; only HSET and ZADD take the
 *         second
 */
export const applyScript = script(
  'write a connection',
  `
local channel, message = ARGV[1], ARGV[2]
if channel ~= '' then redis.call('PUBLISH', channel, message) end
for i, key in ipairs(KEYS) do
  local command, first, second = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
  if command == 'HSET' or command == 'ZADD' then
    redis.call(command, key, first, second)
  else
    redis.call(command, key, first)
  end
end`,
)

/**
 * KEYS    rows, activity
 * ARGV    number, ...
 * Output  { Redis' time in ms, then for each number: row or false, when something was heard on it or false }
 */
export const rowsScript = script(
  'read connections',
  `
#!lua flags=no-writes
local time = redis.call('TIME')
local found = { time[1] * 1000 + math.floor(time[2] / 1000) }
for _, number in ipairs(ARGV) do
  found[#found + 1] = redis.call('HGET', KEYS[1], number)
  found[#found + 1] = redis.call('HGET', KEYS[2], number)
end
return found`,
  { readOnly: true },
)

/**
 * KEYS    rows, activity
 * ARGV    cursor, about how many
 * Output  { Redis' time in ms, the next cursor, then for each: number, row, when something was heard on it or false }
 */
export const scanRowsScript = script(
  'scan connections',
  `
#!lua flags=no-writes
local time = redis.call('TIME')
local step = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local found = { time[1] * 1000 + math.floor(time[2] / 1000), step[1] }
for i = 1, #step[2], 2 do
  found[#found + 1] = step[2][i]
  found[#found + 1] = step[2][i + 1]
  found[#found + 1] = redis.call('HGET', KEYS[2], step[2][i])
end
return found`,
  { readOnly: true },
)

/**
 * KEYS    a set
 * Output  its members
 */
export const namedScript = script(
  'read who is named',
  `
#!lua flags=no-writes
return redis.call('ZRANGE', KEYS[1], 0, -1)`,
  { readOnly: true },
)

/**
 * KEYS    rows
 * Output  how many there are
 */
export const countRowsScript = script(
  'count connections',
  `
#!lua flags=no-writes
return redis.call('HLEN', KEYS[1])`,
  { readOnly: true },
)

/**
 * KEYS    rows, activity
 * ARGV    number, how many ms ago something was heard on it, ...
 *
 * Nothing is written of one that has left meanwhile: nobody would remove it.
 */
export const activityScript = script(
  'write activity',
  `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then
    redis.call('HSET', KEYS[2], ARGV[i], string.format('%.0f', now - ARGV[i + 1]))
  end
end
redis.call('PERSIST', KEYS[2])`,
)

/**
 * KEYS    remains
 * ARGV    a boot of which something is left
 */
export const leaveRemainsScript = script('leave remains', `redis.call('ZADD', KEYS[1], 0, ARGV[1])`)

/**
 * KEYS    sets
 * ARGV    the number of a lease that is over; then for each set an id
 */
export const dropNamesScript = script(
  'sweep names',
  `
for i, key in ipairs(KEYS) do
  local lease = redis.call('ZSCORE', key, ARGV[i + 1])
  if lease and tonumber(lease) <= tonumber(ARGV[1]) then redis.call('ZREM', key, ARGV[i + 1]) end
end`,
)

/**
 * KEYS    rows, activity of a process that is dead
 * ARGV    how long its activity is still of interest in ms, channel; then for each: number, row, message
 *
 * What stands there changed is left: its process is back, or has written it since.
 */
export const dropRowsScript = script(
  'sweep connections',
  `
for i = 3, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('PUBLISH', ARGV[2], ARGV[i + 2])
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
if redis.call('HLEN', KEYS[1]) == 0 then redis.call('PEXPIRE', KEYS[2], ARGV[1]) end`,
)
