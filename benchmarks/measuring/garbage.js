// @ts-check
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
// Code that did not run between some collections would be compiled anew: that of each contender, while it is the turn of others.
setFlagsFromString('--no-flush-bytecode')

/** So that nobody clears away what another has left. @type {() => void} */
export const collectGarbage = runInNewContext('gc')
