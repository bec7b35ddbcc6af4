// @ts-check

/**
 * What the demo says once it runs.
 *
 * @param {string} redis
 * @param {{ name: string, framework: string, port: number }[]} nodes
 */
export function greeting(redis, nodes) {
  const [first, second] = nodes.map(({ port }) => `http://localhost:${port}`)
  const addresses = nodes.map(({ name, framework, port }) => {
    const logins =
      framework === 'Koa' ? 'with a login of its own' : 'shares its logins with the other Express'
    return `  ${name}   http://localhost:${port}   ${framework}, ${logins}`
  })
  return `
The demo of clustered-redis-store runs.

${addresses.join('\n')}
  Redis    ${redis}

Open ${first} in a browser, or try it from here:

  curl -w '\\n' -c /tmp/demo.jar -d user=alice ${first}/api/login     # log in on node-1
  curl -w '\\n' -b /tmp/demo.jar ${second}/api/me                      # node-2 knows it, from Redis
  curl -w '\\n' -b /tmp/demo.jar ${second}/api/me                      # and now from memory
  curl -w '\\n' -b /tmp/demo.jar -X POST ${second}/api/logout          # log out on node-2,
  curl -w '\\n' -b /tmp/demo.jar ${first}/api/me                      # and node-1 knows at once

Ctrl-C stops everything.
`
}
