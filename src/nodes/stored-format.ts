import { BOOT_LENGTH } from './boot.js'

// Entries and handles stand in Redis as format, boot and a rest, with colons in between: `1:boot:rest`.

const FORMAT = '1:'
const REST_AT = FORMAT.length + BOOT_LENGTH + 1

/** What stands behind the boot. Undefined if it is in a format that this code does not know. */
export function restOf(stored: string): string | undefined {
  return stored.startsWith(FORMAT) ? stored.slice(REST_AT) : undefined
}

/** The same for scripts, which count from 1. */
export const STORED = `
local function stored(boot, rest) return '${FORMAT}' .. boot .. ':' .. rest end
local function bootOf(value) return string.sub(value, ${FORMAT.length + 1}, ${FORMAT.length + BOOT_LENGTH}) end
local function restOf(value) return string.sub(value, ${REST_AT + 1}) end
`

/** What time it is by Redis. Large numbers are written as digits: Lua would write them with an exponent. */
export const TIME = `
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local function digits(number) return string.format('%.0f', number) end
`

/**
 * Whether a run of a node lives: its entry stands, and its lease has not ended; then the entry is the answer. For scripts that
 * know `leases` and `entries`.
 */
export const LIVES = `${TIME}${STORED}
local function lives(boot, field)
  local value = redis.call('HGET', entries, field)
  if not value or bootOf(value) ~= boot then return false end
  return tonumber(redis.call('ZSCORE', leases, field) or 0) > now and restOf(value)
end
`
