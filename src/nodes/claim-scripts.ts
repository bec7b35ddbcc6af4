import { script } from '../redis/script.js'
import { LIVES } from './stored-format.js'

// A claim stands as `1:boot:field:token:deadline:claim`. It holds until its deadline, and no longer than the run of the node
// that holds it lives. The token stays when the claim is over, with nobody's boot in front: the next one has to be larger.

const CLAIMS = `
local claims, leases, entries = unpack(KEYS)
${LIVES}
local function read(name)
  local value = redis.call('HGET', claims, name)
  if not value then return nil end
  local boot, field, token, deadline, claim = string.match(value, '^1:([^:]*):([^:]*):(%d+):(%d+):(.*)$')
  return { boot = boot, field = field, token = token, deadline = tonumber(deadline), claim = claim }
end
local function write(name, boot, field, token, deadline, claim)
  local value = table.concat({ '1', boot, field, token, digits(deadline), claim }, ':')
  redis.call('HSET', claims, name, value)
end
local function stands(held)
  return held and held.deadline > now and lives(held.boot, held.field) and true
end
`

/**
 * KEYS    claims, leases, entries
 * ARGV    name, boot, field, ttl, claim, the token up to which all claims of this boot are over
 * Output  { 'held', token } | { 'taken', claim of the other, for how long at the most } | { 'fenced' }
 *
 * The token is larger than any that Redis knows of this name, and larger than any that it has forgotten, as long as its
 * clock is not set back: it is the time in microseconds where that is larger. Who holds the claim gets it again, also if this is sent twice.
 */
export const acquireScript = script(
  'acquire',
  `${CLAIMS}
local name, boot, field, ttl, claim, over = unpack(ARGV)
if not lives(boot, field) then return { 'fenced' } end
local held = read(name)
local standing = stands(held)
if standing and held.boot ~= boot then
  return { 'taken', held.claim, digits(held.deadline - now) }
end
local again = standing and tonumber(held.token) > tonumber(over)
local token = again and held.token or digits(math.max((held and held.token or 0) + 1, micros))
write(name, boot, field, token, now + ttl, claim)
return { 'held', token }`,
)

/**
 * KEYS    claims, leases, entries
 * ARGV    name, boot, field, token, ttl, claim
 * Output  'held' | 'lost'
 *
 * What is over is not brought back. Where Redis knows nothing of the name, not even the last token, it has lost its data: the
 * claim is written again, for nobody can have got a newer one.
 */
export const renewClaimScript = script(
  'renew a claim',
  `${CLAIMS}
local name, boot, field, token, ttl, claim = unpack(ARGV)
local held = read(name)
if held and (held.boot ~= boot or held.token ~= token or held.deadline <= now) then return 'lost' end
local node = redis.call('HGET', entries, field)
if node and bootOf(node) ~= boot then return 'lost' end
write(name, boot, field, token, now + ttl, claim)
return 'held'`,
)

/**
 * KEYS    claims, leases, entries
 * ARGV    channel, name, boot, token, the message that tells of it
 * Output  1 if it was released, 0 if it was not held any more
 */
export const releaseScript = script(
  'release',
  `${CLAIMS}
local channel, name, boot, token, message = unpack(ARGV)
local held = read(name)
if not held or held.boot ~= boot or held.token ~= token then return 0 end
redis.call('PUBLISH', channel, message)
write(name, '', '', token, 0, '')
return held.deadline > now and 1 or 0`,
)

/**
 * KEYS    claims, leases, entries
 * ARGV    name
 * Output  { the newest token or '0', claim or '' if nobody holds it }
 */
export const resolveClaimScript = script(
  'resolve a claim',
  `
#!lua flags=no-writes
${CLAIMS}
local held = read(ARGV[1])
return { held and held.token or '0', stands(held) and held.claim or '' }`,
  { readOnly: true },
)
