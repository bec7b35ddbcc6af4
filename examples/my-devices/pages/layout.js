// @ts-check
import { name, nodes } from '../this-node.js'
import { html } from './html.js'
import { icon } from './icons.js'

/** @typedef {ReturnType<typeof html>} Html */

/**
 * What all pages have in common.
 *
 * @param {object} page
 * @param {string} page.title
 * @param {string} page.path
 * @param {Html} page.body
 * @param {import('../users.js').User | undefined} [page.user]
 * @param {string} [page.csrf]
 * @param {number | undefined} [page.refresh] Ask again after so many seconds.
 * @param {Html | undefined} [page.footnote]
 */
export function layout({ title, path, body, user, csrf, refresh, footnote }) {
  return `<!doctype html>\n${
    html`<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  ${refresh && html`<meta http-equiv="refresh" content="${refresh}">`}
  <title>${title} · Harbour</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <a class="skip" href="#main">Skip to the content</a>
  <header class="top">
    <div class="bar">
      <a class="brand" href="/">${icon('waves')} Harbour</a>
      ${user && navigation(user, path)}
      <div class="account">
        ${
          user &&
          html`<span class="who"><span class="quiet">Logged in as</span> <strong>${user.name}</strong></span>
        <form method="post" action="/logout">${token(csrf)}<button class="button small">Log out</button></form>`
        }
      </div>
    </div>
  </header>
  <main id="main" tabindex="-1">
${body}
  </main>
  <footer class="bottom">
    <nav class="nodes" aria-label="Nodes">
      <span>Answered by</span>
      ${nodes.map(node => nodeLink(node, path))}
    </nav>
    <p>${footnote} A demo of clustered-redis-store: there are no passwords.</p>
  </footer>
</body>
</html>`.text
  }\n`
}

/**
 * Every form needs it.
 *
 * @param {string} [csrf]
 */
export function token(csrf) {
  return html`<input type="hidden" name="csrf" value="${csrf}">`
}

/**
 * @param {import('../users.js').User} user
 * @param {string} path
 */
function navigation(user, path) {
  const links = [{ href: '/devices', text: 'Your devices' }]
  if (user.role === 'security') links.push({ href: '/admin', text: 'Security desk' })
  return html`<nav class="pages" aria-label="Pages">${links.map(
    ({ href, text }) =>
      html`<a href="${href}" ${path.startsWith(href) && html`aria-current="page"`}>${text}</a>`,
  )}</nav>`
}

/**
 * Both nodes have the same pages and the same cookie.
 *
 * @param {{ name: string, port: number }} node
 * @param {string} path
 */
function nodeLink(node, path) {
  if (node.name === name) return html`<strong class="node" aria-current="true">${node.name}</strong>`
  return html`<a class="node" href="http://localhost:${node.port}${path}">ask ${node.name}</a>`
}
