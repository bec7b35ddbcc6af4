// @ts-check
import { IDLE, LONGEST, MOST_DEVICES } from '../store.js'
import { html } from './html.js'
import { icon } from './icons.js'
import { layout, token } from './layout.js'
import { notice as noticeOf } from './notice.js'
import { ago, clock } from './times.js'

/**
 * @typedef {object} Device
 * @property {string} handle
 * @property {boolean} isThis
 * @property {ReturnType<import('../user-agent.js').deviceOf>} device
 * @property {string} ip
 * @property {number} loggedInAt
 * @property {number} seenAt
 */

/**
 * @param {object} page
 * @param {import('../users.js').User} page.user
 * @param {string} page.csrf
 * @param {import('../visit.js').Notice | undefined} page.notice
 * @param {Device[]} page.list
 * @param {string | undefined} page.origin
 */
export function devicesPage({ user, csrf, notice, list, origin }) {
  const body = html`
<h1>Your devices</h1>
<p class="lead">You are logged in to Harbour on these devices. Log out what you do not recognise.</p>
${notice && noticeOf(notice)}
<div class="columns">
  <section class="card" aria-labelledby="devices">
    <div class="heading">
      <h2 id="devices">Logged in now <span class="count">${list.length}</span></h2>
      ${
        list.length > 1 &&
        html`<form method="post" action="/devices/log-out-others">${token(csrf)}
          <button class="button primary">Log out my other devices</button></form>`
      }
    </div>
    <ul class="devices">${list.map(device => item(device, csrf))}</ul>
    ${list.length === 1 && html`<p class="empty">You are logged in nowhere else.</p>`}
  </section>
  <aside aria-label="About your devices">
    <section class="card limits" aria-labelledby="limits">
      <h2 id="limits">Good to know</h2>
      <p><label for="used">${list.length} of ${MOST_DEVICES} devices</label>
      <meter id="used" max="${MOST_DEVICES}" value="${list.length}">${list.length} of ${MOST_DEVICES}</meter></p>
      <ul class="facts">
        <li>One more than ${MOST_DEVICES}, and the oldest login ends.</li>
        <li>A device that you do not use is logged out after ${IDLE / 60_000} minutes.</li>
        <li>Every login ends after ${LONGEST / 3_600_000} hours, used or not.</li>
      </ul>
    </section>
    <section class="card danger" aria-labelledby="everywhere">
      <h2 id="everywhere">Something looks wrong?</h2>
      <p>End every login of yours, this one too. Then log in again, and change your password.</p>
      <form method="post" action="/devices/log-out-everywhere">${token(csrf)}
        <button class="button dangerous">Log out everywhere</button></form>
    </section>
  </aside>
</div>`
  const footnote = html`Your session came ${origin === 'memory' ? 'from its memory, without asking Redis' : 'from Redis'}.`
  return layout({ title: 'Your devices', path: '/devices', user, csrf, body, footnote })
}

/**
 * @param {Device} device
 * @param {string} csrf
 */
function item({ handle, isThis, device, ip, loggedInAt, seenAt }, csrf) {
  return html`<li class="device">
  <span class="tile">${icon(device.kind)}</span>
  <div class="what">
    <h3>${device.name} ${isThis && html`<span class="badge">This device</span>`}</h3>
    <p>${ip} · ${isThis ? 'in use now' : html`last seen ${ago(seenAt)}`}</p>
    <p class="quiet">Logged in ${ago(loggedInAt)} · ends by ${clock(loggedInAt + LONGEST)} · fingerprint ${fingerprint(handle)}</p>
  </div>
  ${
    !isThis &&
    html`<form method="post" action="/devices/log-out">${token(csrf)}
      <input type="hidden" name="device" value="${handle}">
      <button class="button">Log out<span class="unseen"> ${device.name}, ${ip}</span></button></form>`
  }
</li>`
}

/**
 * Enough of a handle to find the session again in the journal of the security desk.
 *
 * @param {string} handle
 */
export function fingerprint(handle) {
  return html`<code>${handle.replace(/^.*sha256:/, '').slice(0, 8)}</code>`
}
