// @ts-check
import { html } from './html.js'
import { icon } from './icons.js'
import { layout } from './layout.js'
import { meaning } from './notice.js'
import { clock } from './times.js'

/** A job that has not said anything for so long does not run any more, or its node cannot reach Redis. */
const SILENT_FOR = 10_000

/**
 * @param {object} page
 * @param {import('../users.js').User} page.user
 * @param {string} page.csrf
 * @param {import('../jobs.js').Job} page.job
 */
export function jobPage({ user, csrf, job }) {
  const silent = job.state === 'running' && Date.now() - job.changedAt > SILENT_FOR
  const running = job.state === 'running' && !silent
  const body = html`
<div class="narrow">
  <div class="card done" role="status">
    ${icon(job.state === 'done' || running ? 'done' : 'warning')}
    ${headline(job, running)}
    <dl class="figures">
      <div><dt>Sessions looked at</dt><dd>${job.scanned}</dd></div>
      <div><dt>Found to be of ${job.userName}</dt><dd>${job.matched}</dd></div>
      <div><dt>Ended</dt><dd>${job.deleted}</dd></div>
    </dl>
    ${job.state === 'done' && meaning()}
    <a class="button primary" href="/admin">Back to the security desk</a>
  </div>
</div>`
  const title = `Log out ${job.userName} everywhere`
  return layout({ title, path: `/admin/jobs/${job.id}`, user, csrf, body, refresh: running ? 1 : undefined })
}

/**
 * @param {import('../jobs.js').Job} job
 * @param {boolean} running
 */
function headline({ state, userName, effectiveBy }, running) {
  if (state === 'done') {
    return html`<h1>${userName} is logged out everywhere</h1>
    <p>Effective everywhere by <strong>${clock(effectiveBy)}</strong>. All sessions were looked at, those too that the index may not name.</p>`
  }
  if (running) {
    return html`<h1>Logging out ${userName} everywhere …</h1>
    <p><progress aria-label="Looking at all sessions"></progress></p>`
  }
  return html`<h1>Not confirmed</h1>
  <p>Some sessions of ${userName} may live. Do it again, until it is confirmed: repeating it does no harm.</p>`
}
