// @ts-check
// Starts Redis and three nodes, says what to try, and stops them all again.
import { startNodes } from '../parts/start-nodes.js'
import { greeting } from './greeting.js'

const express = new URL('express-node.js', import.meta.url)
const koa = new URL('koa-node.js', import.meta.url)

await startNodes(
  [
    { name: 'node-1', framework: 'Express', program: express },
    { name: 'node-2', framework: 'Express', program: express },
    { name: 'node-3', framework: 'Koa', program: koa },
  ],
  greeting,
)
