import { NOW, script } from './script.js'

// An index is a sorted set: the sessions that have one value, each with the time at which it ends at the latest. A score
// below zero is no end but, negated, the time since when the entry is in question: a whole number for a session that is
// about to be written, one with a half for an entry that was found to lead nowhere.

/**
 * A Lua function for the scripts that write a session: it enters the session into its indexes, or answers with what is in
 * the first of them that is full.
 *
 * KEYS    from `first` to the last: the indexes. `there` says whether the session is there as its caller knows it
 * ARGV    from `at`: the member, another that it had before or '', '1' if the session is yet to be written, how long entries stay past their end; then for each
 *         index: how many others it may hold ('' for any number), '1' if a session that is there has had its place in it, how
 *         many of those that are in it are known not to count, and member and score of each
 *
 * Every entry gets another score than it had, so that who has seen the one before can tell: also when that was removed, and the
 * session ends at the same time as it did. So the microsecond of the entering stands behind the point. Scores are compared as
 * numbers: commands and versions of Redis write one number in several ways.
 */
export const ENTER = `
local function enter(now, px, first, at, there)
  local member, former, pending, grace = ARGV[at], ARGV[at + 1], ARGV[at + 2] == '1', tonumber(ARGV[at + 3])
  local from = at + 4
  for i = first, #KEYS do
    local limit, discounted = tonumber(ARGV[from]), tonumber(ARGV[from + 2])
    if limit and not (ARGV[from + 1] == '1' and there()) then
      local others = redis.call('ZCARD', KEYS[i])
      if redis.call('ZSCORE', KEYS[i], member) then others = others - 1 end
      for pair = from + 3, from + 1 + 2 * discounted, 2 do
        if tonumber(redis.call('ZSCORE', KEYS[i], ARGV[pair])) == tonumber(ARGV[pair + 1]) then others = others - 1 end
      end
      if others >= limit then return { i - first, redis.call('ZRANGE', KEYS[i], 0, -1, 'WITHSCORES'), now } end
    end
    from = from + 3 + 2 * discounted
  end
  for i = first, #KEYS do
    local left = redis.call('PTTL', KEYS[i])
    local time = redis.call('TIME')
    local score = px and time[1] * 1000 + time[2] / 1000 + px or math.huge
    local before = redis.call('ZSCORE', KEYS[i], member)
    if before and before ~= 'inf' and tonumber(before) >= score then score = tonumber(before) + 1 end
    if pending then score = -now end
    redis.call('ZADD', KEYS[i], string.format('%.17g', score), member)
    if former ~= '' then redis.call('ZREM', KEYS[i], former) end
    redis.call('ZREMRANGEBYSCORE', KEYS[i], 0, string.format('%.0f', now - grace))
    local last = tonumber(redis.call('ZREVRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2])
    if last == math.huge then
      redis.call('PERSIST', KEYS[i])
    else
      local needed = math.max(last - now, px) + grace
      if left < needed then redis.call('PEXPIRE', KEYS[i], string.format('%.0f', needed)) end
    end
  end
end`

/**
 * KEYS    one index
 * ARGV    how long the entry is to stand ('' for ever), and what `enter` takes
 * Output  what `enter` found, if it is full
 *
 * The ZREM of nothing lets it through at maxmemory: a session in use must not end for want of an entry.
 */
export const enterScript = script(
  'enter',
  `${ENTER}
redis.call('ZREM', KEYS[1], '')
${NOW}
return enter(now, tonumber(ARGV[1]), 1, 2, function() return true end)`,
)

/**
 * KEYS    one index
 * ARGV    a cursor, how many entries to look at; where all keys are on one server, what stands before a member in the key of
 *         its session, and what before and after it in that of its tombstone
 * Output  { Redis' time in ms, the next cursor, the members, their scores; and where sessions were asked for their values
 *         or false, PTTLs, tombstones or '-' }
 *
 * Numbers and tombstones come as one text each, with spaces between: the fewer parts an answer has, the sooner a client has
 * read it. The keys of sessions cannot be declared: which they are stands in the index. So this is for one server only.
 */
export const entriesScript = script(
  'entries',
  `
#!lua flags=no-writes
${NOW}
local step = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local members, scores = {}, {}
for i = 1, #step[2], 2 do
  members[#members + 1] = step[2][i]
  scores[#scores + 1] = step[2][i + 1]
end
local reply = { now, step[1], members, table.concat(scores, ' ') }
if not ARGV[3] or #members == 0 then return reply end
local function valuesOf(keys)
  local values = {}
  -- Lua hands over a few thousand arguments at most.
  for first = 1, #keys, 1000 do
    local found = redis.call('MGET', unpack(keys, first, math.min(first + 999, #keys)))
    for i = first, math.min(first + 999, #keys) do values[i] = found[i - first + 1] end
  end
  return values
end
local sessions, tombstones, lefts = {}, {}, {}
for i, member in ipairs(members) do
  sessions[i] = ARGV[3] .. member
  tombstones[i] = ARGV[4] .. member .. ARGV[5]
  lefts[i] = redis.call('PTTL', sessions[i])
end
reply[5] = valuesOf(sessions)
reply[6] = table.concat(lefts, ' ')
local found = valuesOf(tombstones)
for i = 1, #members do found[i] = type(found[i]) == 'string' and found[i] or '-' end
reply[7] = table.concat(found, ' ')
return reply`,
  { readOnly: true },
)

/**
 * KEYS    one index
 * ARGV    how long a session may take to be written after it was entered, then member and score of entries that lead nowhere
 * Output  nothing
 *
 * An entry whose score has changed was made anew. Where the session is written in the same step as its entry, what leads
 * nowhere is removed at once; on Redis Cluster it might yet be written, so it is marked first, and removed if it is found so
 * again after that time.
 */
export const pruneScript = script(
  'prune',
  `
${NOW}
local grace = tonumber(ARGV[1])
for i = 2, #ARGV, 2 do
  local score = tonumber(ARGV[i + 1])
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i])) == score then
    local since = score < 0 and -score or score
    if grace == 0 or since + grace < now then
      redis.call('ZREM', KEYS[1], ARGV[i])
    elseif score >= 0 then
      redis.call('ZADD', KEYS[1], string.format('%.17g', -now - 0.5), ARGV[i])
    end
  end
end`,
)
