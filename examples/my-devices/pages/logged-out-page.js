// @ts-check
import { html } from './html.js'
import { icon } from './icons.js'
import { layout } from './layout.js'
import { meaning } from './notice.js'
import { clock } from './times.js'

/** @param {{ deleted: number, effectiveBy: number }} page */
export function loggedOutPage({ deleted, effectiveBy }) {
  const body = html`
<div class="narrow">
  <div class="card done" role="status">
    ${icon('done')}
    <h1>You are logged out everywhere</h1>
    <dl class="figures">
      <div><dt>Sessions ended</dt><dd>${deleted}</dd></div>
      <div><dt>Effective everywhere by</dt><dd>${clock(effectiveBy)}</dd></div>
    </dl>
    ${meaning()}
    <a class="button primary" href="/login">Log in again</a>
  </div>
</div>`
  return layout({ title: 'Logged out everywhere', path: '/login', body })
}
