// @ts-check
import { IDLE, LONGEST, MOST_DEVICES } from '../store.js'
import { users } from '../users.js'
import { html } from './html.js'
import { icon } from './icons.js'
import { layout } from './layout.js'

/** @type {Record<string, string>} */
const REASONS = {
  evicted: `You have logged in on another device since, and at most ${MOST_DEVICES} stay logged in. This one was the oldest.`,
  revoked: 'Somebody logged it out from another of your devices, or the security desk did.',
  expired: `It was too old: a login ends after ${LONGEST / 3_600_000} hours.`,
  unknown: `It was not used for ${IDLE / 60_000} minutes, or is older than ${LONGEST / 3_600_000} hours.`,
}

/** @param {{ ended: string | undefined }} page */
export function loginPage({ ended }) {
  const body = html`
<div class="narrow">
  ${
    ended &&
    html`<div class="notice warning" role="status">${icon('warning')}<div>
      <h2>This device was logged out.</h2>
      <p>${REASONS[ended] ?? REASONS.unknown}</p>
    </div></div>`
  }
  <h1>Log in</h1>
  <p class="lead">Who would you like to be? This is a demo, so nobody asks for a password.</p>
  <form method="post" action="/login" class="card people">
    ${users.map(
      ({ id, name, role }) => html`<button name="user" value="${id}" class="person">
        <span class="initial" aria-hidden="true">${name.slice(0, 1).toUpperCase()}</span>
        <span class="name">${name} <span class="quiet">${role === 'security' ? 'works at the security desk' : 'is a customer'}</span></span>
        <span class="go" aria-hidden="true">→</span>
      </button>`,
    )}
  </form>
</div>`
  return layout({ title: 'Log in', path: '/login', body })
}
