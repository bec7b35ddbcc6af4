import { afterAll } from 'vitest'

const ends = new Set<() => Promise<void>>()

// Registered when the test file imports this, hence before the file's own hooks, hence run after them.
afterAll(async () => {
  await Promise.allSettled([...ends].map(end => end()))
})

/** Runs `end` after the last test of the file, whatever became of the tests; the answer calls that off. */
export function atEndOfFile(end: () => Promise<void>): () => void {
  ends.add(end)
  return () => ends.delete(end)
}
