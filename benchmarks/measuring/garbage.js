// @ts-check
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')

/** So that nobody clears away what another has left. @type {() => void} */
export const collectGarbage = runInNewContext('gc')
