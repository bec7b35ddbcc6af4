import { createHash } from 'node:crypto'

/** One operation of ours, executed by Redis in one step. */
export interface Script {
  readonly name: string
  readonly lua: string
  readonly sha: string
  /** The same for servers before Redis 7, which do not know the first line of a read-only script. */
  readonly plainLua: string
}

function script(name: string, lua: string): Script {
  const text = lua.trim()
  return {
    name,
    lua: text,
    sha: createHash('sha1').update(text).digest('hex'),
    plainLua: text.replace(/^#!.*\n/, ''),
  }
}

/**
 * KEYS    session, tombstone
 * Output  { value or false, PTTL, tombstone or '', Redis' time in ms, 1 if the key holds something else than a string }
 *
 * Read-only, and declared so: CLIENT PAUSE WRITE must not hold up reads.
 */
export const loadScript = script(
  'load',
  `
#!lua flags=no-writes
local time = redis.call('TIME')
local value = redis.pcall('GET', KEYS[1])
local foreign = 0
if type(value) == 'table' and value.err then
  value = false
  foreign = 1
end
return {
  value,
  redis.call('PTTL', KEYS[1]),
  redis.call('GET', KEYS[2]) or '',
  time[1] * 1000 + math.floor(time[2] / 1000),
  foreign
}`,
)

/**
 * KEYS    session, tombstone
 * ARGV    value, PX, channel ('' for no message), message, the tombstone that the caller has seen, Redis' time at which
 *         the caller saw the session ('' if it did not exist then), how long a tombstone stands, '1' to leave the end of
 *         the session as it is if there is one
 * Output  { 'saved' | 'destroyed' | 'gone', tombstone or '', Redis' time in ms, the PX that was set }
 *
 * The message goes first and the session last: a user without one of the rights is refused before anything is written. 'gone' answers a
 * caller that saw the session so long ago that the tombstone of a destroy may have come and gone since; both times are
 * this server's, as is the clock that ends a tombstone, so no skew comes between them. A session that is made over a
 * tombstone keeps it for as long as it lives itself: the one before it under the same id must not come back over it.
 */
export const saveScript = script(
  'save',
  `
if ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tombstone = redis.call('GET', KEYS[2]) or ''
if tombstone ~= '' and tombstone ~= ARGV[5] then return { 'destroyed', tombstone, now, 0 } end
if ARGV[6] ~= '' and now - tonumber(ARGV[6]) >= tonumber(ARGV[7]) and redis.call('EXISTS', KEYS[1]) == 0 then
  return { 'gone', tombstone, now, 0 }
end
local px = tonumber(ARGV[2])
if ARGV[8] == '1' then
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then px = left end
end
if tombstone ~= '' and redis.call('PTTL', KEYS[2]) < px then
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', px))
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', string.format('%.0f', px))
return { 'saved', tombstone, now, px }`,
)

/**
 * KEYS    session
 * ARGV    PX, channel ('' for no message), message
 * Output  0 if there is no such session, 1 if its end was moved, 2 if the other nodes were told of it as well
 *
 * A longer life need not be told: who does not know of it asks again too early. A shorter one must be, or other nodes
 * would serve the session past its end.
 */
export const touchScript = script(
  'touch',
  `
local left = redis.call('PTTL', KEYS[1])
if left == -2 then return 0 end
local shorter = left == -1 or left > tonumber(ARGV[1])
if shorter and ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return shorter and 2 or 1`,
)

/**
 * KEYS    session, tombstone, session, tombstone, ... (one pair, or several where all are on one server)
 * ARGV    channel ('' for no message), message, a unique id of this destroy, how long the tombstones stand
 * Output  { the tombstone that was written, why one could not be written or '' }
 *
 * DEL goes before the tombstone: it frees memory, so that a logout works at maxmemory, and what follows a DEL is let
 * through. A script that is sent twice finds its own tombstone and leaves alone what was saved in between.
 */
export const destroyScript = script(
  'destroy',
  `
if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local written = '1:' .. string.format('%.0f', now) .. ':' .. ARGV[3]
local failure = ''
for i = 1, #KEYS, 2 do
  local tombstone = redis.call('GET', KEYS[i + 1])
  if tombstone and string.sub(tombstone, -#ARGV[3]) == ARGV[3] then
    written = tombstone
  else
    redis.call('DEL', KEYS[i])
    local set = redis.pcall('SET', KEYS[i + 1], written, 'PX', ARGV[4])
    if type(set) == 'table' and set.err then failure = set.err end
  end
end
return { written, failure }`,
)

/**
 * KEYS    a key that no one writes
 * ARGV    private channel, nonce, '1' on Redis Cluster
 * Output  { run_id, master_replid, cluster_current_epoch, cluster_size }, each '' where there is none or the server or its
 *         ACL hides it
 *
 * DEL is a write without an effect: a server that may not write refuses it, so a deposed primary cannot echo.
 */
export const probeScript = script(
  'probe',
  `
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
local function ask(...)
  local text = redis.pcall(...)
  return type(text) == 'string' and text or ''
end
local cluster = ARGV[3] == '1' and ask('CLUSTER', 'INFO') or ''
return {
  string.match(ask('INFO', 'server'), 'run_id:(%w+)') or '',
  string.match(ask('INFO', 'replication'), 'master_replid:(%w+)') or '',
  string.match(cluster, 'cluster_current_epoch:(%d+)') or '',
  string.match(cluster, 'cluster_size:(%d+)') or ''
}`,
)
