// @ts-check
import { html } from './html.js'
import { icon } from './icons.js'
import { layout } from './layout.js'

/** @param {{ path: string, title: string, text: string }} page */
export function errorPage({ path, title, text }) {
  const body = html`
<div class="narrow">
  <div class="card done" role="alert">
    ${icon('warning')}
    <h1>${title}</h1>
    <p>${text}</p>
    <a class="button primary" href="/">Go on</a>
  </div>
</div>`
  return layout({ title, path: path.startsWith('/admin') ? '/admin' : '/devices', body })
}
