import type { History } from '../checker/history.js'

/** What callers saw of a session and servers did with it, line by line. */
export function storyOf({ operations, writes, ends }: History, sid: string | undefined): string {
  if (sid === undefined) return ''
  const own = operations.filter(each => each.sid === sid || each.sid === '')
  const lines: [at: number, what: string][] = [
    ...own.map(({ began, sid: _, ...seen }): [number, string] => [began, JSON.stringify({ began, ...seen })]),
    ...(writes.get(sid) ?? []).map((write): [number, string] => [
      write.at,
      `EXECUTED ${JSON.stringify(write)}`,
    ]),
    ...(ends.get(sid) ?? []).map((end): [number, string] => [end.at, `TO LIVE ${JSON.stringify(end)}`]),
  ]
  return lines
    .sort(([one], [other]) => one - other)
    .map(([, line]) => line)
    .join('\n')
}
