// @ts-check
import { html } from './html.js'
import { icon } from './icons.js'
import { clock } from './times.js'

/**
 * What was done, in words that are exactly what the store promises.
 *
 * @param {import('../visit.js').Notice} notice
 */
export function notice({ title, text, effectiveBy }) {
  return html`<div class="notice" role="status">
  ${icon('done')}
  <div>
    <h2>${title}</h2>
    <p>${text} ${effectiveBy && html`Effective everywhere by <strong>${clock(effectiveBy)}</strong>.`}</p>
    ${effectiveBy && meaning()}
  </div>
</div>`
}

/** For whoever has to answer for it. */
export function meaning() {
  return html`<details>
  <summary>What that means</summary>
  <ul>
    <li>The sessions are destroyed in the database, and it has confirmed that.</li>
    <li>Every server that can be reached has been told to forget them at once. One that is cut off stops using
      what it remembers by the time above.</li>
    <li>A request that was under way cannot bring a session back. It may still have got its own answer.</li>
  </ul>
</details>`
}
