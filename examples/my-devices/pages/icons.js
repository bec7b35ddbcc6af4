// @ts-check
import { html } from './html.js'

const SHAPES = {
  computer: html`<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>`,
  phone: html`<rect x="7" y="2.5" width="10" height="19" rx="2.5"/><path d="M11 18h2"/>`,
  tablet: html`<rect x="4.5" y="3" width="15" height="18" rx="2.5"/><path d="M11 18h2"/>`,
  unknown: html`<rect x="3" y="4" width="18" height="16" rx="2"/><path d="m7 9 3 3-3 3M13 15h4"/>`,
  done: html`<path d="M12 2.5 4.5 5.5v6c0 4.8 3.1 8.4 7.5 10 4.4-1.6 7.5-5.2 7.5-10v-6z"/><path d="m8.5 12 2.5 2.5 4.5-5"/>`,
  warning: html`<path d="M12 3.5 2.5 20h19z"/><path d="M12 10v4.5M12 17.2v.1"/>`,
  waves: html`<path d="M2.5 8c3.2-3 6.3-3 9.5 0s6.3 3 9.5 0M2.5 15c3.2-3 6.3-3 9.5 0s6.3 3 9.5 0"/>`,
}

/**
 * Only an ornament: what it means stands beside it in words.
 *
 * @param {keyof typeof SHAPES} name
 */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${SHAPES[name]}</svg>`
}
