// @ts-check
import { fingerprint } from './devices-page.js'
import { html } from './html.js'
import { layout, token } from './layout.js'
import { clock } from './times.js'

/** @typedef {import('../users.js').User} User */

const REFRESH = 2

/** The reasons that the store gives, in other words. @type {Record<string, string>} */
const REASONS = {
  new: 'a login',
  again: 'a login',
  handle: 'this one was picked',
  index: 'all of one user, or all but one',
  maxSessions: 'a login on one device too many',
  ttl: 'it was not used',
  absoluteTtl: 'it was too old',
  destroyed: 'a request under way would have saved an ended session',
  gone: 'a request under way would have saved an ended session',
}

/**
 * @param {object} page
 * @param {User} page.user
 * @param {string} page.csrf
 * @param {{ user: User, sessions: number }[]} page.rows
 * @param {import('../journal.js').Entry[]} page.entries
 * @param {boolean} page.live
 */
export function adminPage({ user, csrf, rows, entries, live }) {
  const body = html`
<h1>Security desk</h1>
<p class="lead">A user is compromised? End every session of theirs, and know when it holds.</p>
<section class="card" aria-labelledby="users">
  <h2 id="users">Users</h2>
  <ul class="users">${rows.map(row => item(row, csrf))}</ul>
</section>
<section class="card" aria-labelledby="journal">
  <div class="heading">
    <h2 id="journal">What became of sessions</h2>
    ${
      live
        ? html`<a class="button small" href="/admin">Stop refreshing</a>`
        : html`<a class="button small" href="/admin?live">Refresh every ${REFRESH} seconds</a>`
    }
  </div>
  ${entries.length > 0 ? journal(entries) : html`<p class="empty">Nothing yet.</p>`}
</section>`
  return layout({
    title: 'Security desk',
    path: '/admin',
    user,
    csrf,
    body,
    refresh: live ? REFRESH : undefined,
  })
}

/**
 * @param {{ user: User, sessions: number }} row
 * @param {string} csrf
 */
function item({ user, sessions }, csrf) {
  return html`<li>
  <span class="initial" aria-hidden="true">${user.name.slice(0, 1).toUpperCase()}</span>
  <div><h3>${user.name}</h3><p class="quiet"><code>${user.id}</code></p></div>
  <p class="sessions"><strong>${sessions}</strong> ${sessions === 1 ? 'session' : 'sessions'}</p>
  <form method="post" action="/admin/log-out-everywhere">${token(csrf)}
    <button class="button dangerous" name="user" value="${user.id}">Log out everywhere<span class="unseen"> for ${user.name}</span></button></form>
</li>`
}

/** @param {import('../journal.js').Entry[]} entries */
function journal(entries) {
  return html`<div class="scroll" role="region" aria-labelledby="journal" tabindex="0">
<table>
  <thead><tr><th scope="col">Time</th><th scope="col">Event</th><th scope="col">Session</th><th scope="col">Why</th><th scope="col">Node</th></tr></thead>
  <tbody>${entries.map(
    ({ at, node, event, reason, session }) => html`<tr>
    <td>${clock(at)}</td>
    <td><span class="event ${event}">${event}</span></td>
    <td>${session ? fingerprint(session) : '–'}</td>
    <td>${REASONS[reason] ?? reason}</td>
    <td>${node}</td>
  </tr>`,
  )}</tbody>
</table>
</div>`
}
