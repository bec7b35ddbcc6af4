import { ENTER } from './index-scripts.js'
import { NOW, script } from './script.js'

// A session has one name, or two while ids are being hashed. KEYS then holds a session key and a tombstone key for each. What
// stands under the first counts; what is written under one is gone from the other.

/** A Lua function: the index of the key under which a session of so many keys stands, and its PTTL; -2 if it is nowhere. */
const FIND = `
local function find(names)
  for i = 1, names, 2 do
    local left = redis.call('PTTL', KEYS[i])
    if left ~= -2 then return i, left end
  end
  return 0, -2
end`

/** A Lua function: lets the tombstones that a session was made over stand as long as the session. */
const PROLONG = `
local function prolong(names, px)
  for i = 2, names, 2 do
    local stands = redis.call('PTTL', KEYS[i])
    if stands > 0 and stands < px then redis.call('PEXPIRE', KEYS[i], string.format('%.0f', px)) end
  end
end`

/**
 * KEYS    session, tombstone, for each name; of one session or of many
 * ARGV    for each session: how many of the keys are its own
 * Output  { Redis' time in ms, then for each session: value or false, PTTL, the tombstones with a space between, 1 if the key
 *         holds something else than a string }
 *
 * Read-only, and declared so: CLIENT PAUSE WRITE must not hold up reads.
 */
export const loadScript = script(
  'load',
  `
#!lua flags=no-writes
${NOW}
local parts = {}
local first = 1
for session = 1, #ARGV do
  local value, left = false, -2
  local tombstones = {}
  for i = first, first + ARGV[session] - 1, 2 do
    if left == -2 then
      left = redis.call('PTTL', KEYS[i])
      value = left ~= -2 and redis.pcall('GET', KEYS[i])
    end
    tombstones[#tombstones + 1] = redis.call('GET', KEYS[i + 1]) or nil
  end
  local foreign = type(value) == 'table' and value.err
  local at = 4 * session
  parts[at - 3], parts[at - 2] = not foreign and value, left
  parts[at - 1], parts[at] = table.concat(tombstones, ' '), foreign and 1 or 0
  first = first + ARGV[session]
end
return { now, unpack(parts, 1, 4 * #ARGV) }`,
  { readOnly: true },
)

/**
 * KEYS    session, tombstone, for each name; then the indexes of the session
 * ARGV    value, PX, channel ('' for no message), message, the tombstones that the caller has seen, Redis' time at which
 *         the caller saw the session ('' if it did not exist then), how long a tombstone stands, '1' to leave the end of
 *         the session as it is if there is one, the index of the key to write under, '1' to write it only if it is there,
 *         the SHA-1 of the only value that may be replaced ('' for any), how many of the keys are no indexes, the longest PX
 *         ('' for any), the SHA-1 of the record by which the session is known to have a place in its indexes ('' for any); and
 *         where there are indexes what `enter` takes
 * Output  { 'saved' | 'destroyed' | 'gone' | 'elsewhere' | 'changed' | 'full', the tombstones, Redis' time in ms, the PX
 *         that was set, 1 if the session was there, and for 'full' what `enter` found }
 *
 * The message goes first and the session last: a user without one of the rights is refused before anything is written. 'gone' answers a
 * caller that saw the session so long ago that the tombstone of a destroy may have come and gone since; both times are
 * this server's, as is the clock that ends a tombstone, so no skew comes between them. A session that is made over a
 * tombstone keeps it for as long as it lives itself: the one before it under the same id must not come back over it.
 */
export const saveScript = script(
  'save',
  `${ENTER}${FIND}${PROLONG}
local value, px, channel, message, seen, existedAt, grace, keepEnd, target, onlyIfThere, expected, names, longest, known =
  unpack(ARGV, 1, 14)
px, names, longest = tonumber(px), tonumber(names), tonumber(longest)
if channel ~= '' then redis.call('PUBLISH', channel, message) end
${NOW}
local tombstones, unseen = {}, false
for i = 2, names, 2 do
  local tombstone = redis.call('GET', KEYS[i])
  if tombstone then
    tombstones[#tombstones + 1] = tombstone
    unseen = unseen or not string.find(seen, tombstone, 1, true)
  end
end
local standing = table.concat(tombstones, ' ')
if unseen then return { 'destroyed', standing, now, 0, 0 } end
local at, left = find(names)
local there = left ~= -2
if not there and onlyIfThere == '1' then return { 'elsewhere', standing, now, 0, 0 } end
local forgotten = existedAt ~= '' and now - tonumber(existedAt) >= tonumber(grace)
if not there and forgotten then return { 'gone', standing, now, 0, 0 } end
local function holds(digest)
  local stored = redis.pcall('GET', KEYS[at])
  return type(stored) == 'string' and redis.sha1hex(stored) == digest
end
if there and expected ~= '' and not holds(expected) then return { 'changed', standing, now, 0, 1 } end
if keepEnd == '1' and left > 0 then px = math.min(left, longest or left) end
if #KEYS > names then
  local full = enter(now, px, names + 1, 15, function() return there and (known == '' or holds(known)) end)
  if full then return { 'full', standing, now, 0, there and 1 or 0, full } end
end
if #tombstones > 0 then prolong(names, px) end
local written = KEYS[tonumber(target)]
redis.call('SET', written, value, 'PX', string.format('%.0f', px))
for i = 1, names, 2 do
  if KEYS[i] ~= written then redis.call('DEL', KEYS[i]) end
end
return { 'saved', standing, now, px, there and 1 or 0 }`,
)

/**
 * KEYS    session, tombstone, for each name; then the indexes of the session
 * ARGV    PX, channel ('' for no message), message, the index of the key to write under; to encrypt the session anew the
 *         SHA-1 of what is to be replaced, and what replaces it, else '' twice; the SHA-1 of the only value that may be
 *         there ('' for any), how many of the keys are no indexes; and where there are indexes what `enter` takes
 * Output  0 if there is no such session, 1 if its end was moved, 2 if the other nodes were told of it as well, 3 if
 *         something else is there
 *
 * A longer life need not be told: who does not know of it asks again too early. A shorter one must be, or other nodes
 * would serve the session past its end. What another node has saved meanwhile has another SHA-1 and is not replaced. Where
 * memory is full it stays as it is, and where it is. It is entered into its indexes last: after a write that is allowed then,
 * any other is, too. A tombstone that it was made over stands as long as the session: see the save.
 */
export const touchScript = script(
  'touch',
  `${ENTER}${FIND}${PROLONG}
local px, channel, message, target, outdated, anew, expected, names = unpack(ARGV, 1, 8)
target, names = tonumber(target), tonumber(names)
local at, left = find(names)
if left == -2 then return 0 end
local asked = outdated ~= '' or expected ~= ''
local value = (at ~= target or asked) and redis.call('GET', KEYS[at])
local digest = asked and redis.sha1hex(value)
if expected ~= '' and digest ~= expected then return 3 end
local shorter = left == -1 or left > tonumber(px)
if shorter and channel ~= '' then redis.call('PUBLISH', channel, message) end
local replaced = outdated ~= '' and digest == outdated
local written = false
if replaced or at ~= target then
  local set = redis.pcall('SET', KEYS[target], replaced and anew or value, 'PX', px)
  written = not set.err
end
if written then
  for i = 1, names, 2 do
    if i ~= target then redis.call('DEL', KEYS[i]) end
  end
else
  redis.call('PEXPIRE', KEYS[at], px)
end
prolong(names, tonumber(px))
if #KEYS > names then
  ${NOW}
  enter(now, tonumber(px), names + 1, 9, function() return true end)
end
return shorter and 2 or 1`,
)

/**
 * KEYS    session, tombstone, session, tombstone, ... (for each name, of one session or of many; names may share a tombstone)
 * ARGV    channel ('' for no message), message, a unique id of this destroy, how long the tombstones stand, '1' if it comes
 *         back to look in another place
 * Output  { the tombstone that was written, why one could not be written or '', for each session key 1 if it was there,
 *         else 0 }
 *
 * DEL goes before the tombstone: it frees memory, so that a logout works at maxmemory, and what follows a DEL is let
 * through. A script that is sent twice finds its own tombstone and leaves alone what was saved in between,
 * unless another destroy has come between, whose tombstone stands now.
 */
export const destroyScript = script(
  'destroy',
  `
local channel, message, id, ttl, back = unpack(ARGV, 1, 5)
if channel ~= '' then redis.call('PUBLISH', channel, message) end
${NOW}
local written = '1:' .. string.format('%.0f', now) .. ':' .. id
local failure = ''
local tombstones, all, found = {}, {}, {}
for i = 2, #KEYS, 2 do all[#all + 1] = KEYS[i] end
for i = 1, #all do
  local before = redis.call('GET', all[i])
  local again = type(before) == 'string' and string.sub(before, -#id) == id
  if again then
    written = before
  else
    tombstones[#tombstones + 1] = all[i]
  end
  found[i] = again and back ~= '1' and 1 or redis.call('DEL', KEYS[2 * i - 1])
end
for i = 1, #tombstones do
  local set = redis.pcall('SET', tombstones[i], written, 'PX', ttl)
  if type(set) == 'table' and set.err then failure = set.err end
end
return { written, failure, table.concat(found) }`,
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

/**
 * KEYS    a key that holds nothing worth reading
 * Output  nothing
 *
 * A write that replicas get: what WAIT waits for. The DEL in front lets the SET through at maxmemory.
 */
export const markScript = script(
  'mark',
  `
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], '', 'PX', 1)`,
)

/**
 * ARGV    cursor, pattern, count
 * Output  { the next cursor, keys, the PTTL of each }
 *
 * A command of its own for each life costs both sides more than to read the values. For one server: on Redis Cluster the
 * keys of a script must lie in one slot.
 */
export const scanLivesScript = script(
  'scan',
  `
#!lua flags=no-writes
local step = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local lives = {}
for i, key in ipairs(step[2]) do lives[i] = redis.call('PTTL', key) end
return { step[1], step[2], lives }`,
  { readOnly: true },
)
