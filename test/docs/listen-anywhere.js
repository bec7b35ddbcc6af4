// @ts-check
// Loaded before a snippet that serves on a fixed port: it gets a free one, and the test hears which.
import { Server } from 'node:net'

const listen = /** @type {(...args: unknown[]) => Server} */ (Server.prototype.listen)

Object.assign(Server.prototype, {
  /** @this {Server} @param {unknown[]} args */
  listen(...args) {
    const callback = args.find(arg => typeof arg === 'function')
    this.once('listening', () => process.send?.(this.address()))
    return listen.call(this, { host: '127.0.0.1', port: 0 }, ...(callback ? [callback] : []))
  },
})
process.once('disconnect', () => process.exit())
