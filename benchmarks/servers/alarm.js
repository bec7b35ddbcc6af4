// @ts-check
// Timers know whole milliseconds only, and looking at the clock all the time would take a processor from what is measured. A
// thread that does nothing else can sleep more precisely.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** ms that usually pass from when the thread was to wake until the other has been told. */
const LATE_BY = 0.16
const ASLEEP = 0
const SET = 1

/** The same in all threads. */
const now = () => Number(process.hrtime.bigint()) / 1e6

/** @param {() => void} wake */
export function startAlarm(wake) {
  const state = new Int32Array(new SharedArrayBuffer(8))
  const time = new Float64Array(new SharedArrayBuffer(8))
  new Worker(new URL(import.meta.url), { workerData: { state, time } }).on('message', wake)
  return {
    now,
    /** ms */
    precision: 0.02,
    /** One at a time. @param {number} due */
    wakeAt(due) {
      time[0] = due
      Atomics.store(state, 0, SET)
      Atomics.notify(state, 0)
    },
  }
}

if (!isMainThread) {
  /** @type {{ state: Int32Array, time: Float64Array }} */
  const { state, time } = workerData
  for (;;) {
    Atomics.wait(state, 0, ASLEEP)
    const left = Number(time[0]) - now() - LATE_BY
    // Nobody wakes it there.
    if (left > 0) Atomics.wait(state, 1, 0, left)
    Atomics.store(state, 0, ASLEEP)
    parentPort?.postMessage(undefined)
  }
}
