import { randomUUID } from 'node:crypto'

// A boot names one lease of one run of a process: a UUID whose last group counts the leases. A process that was fenced comes
// back under another boot, so that what it had begun under the one before stays refused; its run is the same, and so is all
// that hangs on the process and not on the lease.

const RUN_LENGTH = 23
const LEASE_LENGTH = 12
export const BOOT_LENGTH = RUN_LENGTH + 1 + LEASE_LENGTH

export function firstBoot(): string {
  return bootOf(randomUUID().slice(0, RUN_LENGTH), 1)
}

export function nextBoot(boot: string): string {
  return bootOf(runOf(boot), leaseOf(boot) + 1)
}

export function runOf(boot: string): string {
  return boot.slice(0, RUN_LENGTH)
}

/** Which lease of its run it is: one that is newer has a larger number. */
export function leaseOf(boot: string): number {
  return Number.parseInt(boot.slice(RUN_LENGTH + 1), 16)
}

function bootOf(run: string, lease: number): string {
  return `${run}-${lease.toString(16).padStart(LEASE_LENGTH, '0')}`
}
