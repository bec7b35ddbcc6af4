import { expect, it } from 'vitest'
import { until } from '../support/until.js'
import { RunningDemo } from './running-demo.js'

interface State {
  node: string
  job: { node: string; token: number } | null
  lines: string[]
}

it('a job runs on one of three nodes, and moves to another when its node is killed', async () => {
  await using site = await RunningDemo.start({}, 'examples/unique-service/start.js')
  const state = async (node: number) => (await (await fetch(site.url(node))).json()) as State
  const first = await until(async () => {
    const { job, lines } = await state(1)
    return lines.length >= 3 ? job : null
  })
  const holder = Number(first.node.slice(-1))
  const other = (holder % 3) + 1
  await fetch(site.url(holder, '/die'), { method: 'POST' }).catch(() => {})
  const second = await until(async () => {
    const { job, lines } = await state(other)
    return job?.node !== first.node && lines[0]?.includes(` by ${job?.node}, `) ? job : null
  })
  expect(second.token).toBeGreaterThan(first.token)
  const { lines } = await state(other)
  // The lines are numbered without a gap, and once the second has begun the first writes none.
  const written = lines.map(line => line.split(' by ')[1] ?? '')
  expect(written.indexOf(`${first.node}, token ${first.token}`)).toBeGreaterThan(
    written.lastIndexOf(`${second.node}, token ${second.token}`),
  )
  await until(() => site.output.includes(`${first.node} ended unexpectedly`))
  expect(await site.stop('SIGINT')).toBe(0)
  expect(site.errors).toBe('')
})
