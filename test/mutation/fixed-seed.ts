import { configureGlobal } from 'fast-check'

// The same random orders for each mutation and in each run, and no time is spent on making them shorter.
configureGlobal({ seed: 1, endOnFailure: true })
