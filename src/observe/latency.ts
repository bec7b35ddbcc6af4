import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** Milliseconds; all zero while nothing was measured. */
export interface LatencySummary {
  count: number
  mean: number
  p50: number
  p99: number
  max: number
}

/** How long one kind of operation takes. */
export class Latency {
  // To a hundredth, and up to an hour: the default takes several times the memory, and the time to make it.
  readonly #microseconds: RecordableHistogram = createHistogram({ highest: 3_600_000_000, figures: 2 })

  record(ms: number): void {
    this.#microseconds.record(Math.min(3_600_000_000, Math.max(1, Math.round(ms * 1000))))
  }

  summary(): LatencySummary {
    const { count, mean, max } = this.#microseconds
    if (count === 0) return { count: 0, mean: 0, p50: 0, p99: 0, max: 0 }
    return {
      count,
      mean: mean / 1000,
      p50: this.#microseconds.percentile(50) / 1000,
      p99: this.#microseconds.percentile(99) / 1000,
      max: max / 1000,
    }
  }
}
