// @ts-check
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const look = readFileSync(new URL('look.css', import.meta.url), 'utf8')

/**
 * A page with its style and its script in one file. It is the same for everybody; what it shows of users it asks for, and puts
 * in place as text.
 *
 * @param {URL} file
 * @param {Record<string, string>} values What stands in the file as `{{name}}`. The comment `{{look}}` stands for the style that pages share.
 */
export function pageOf(file, values) {
  let html = readFileSync(file, 'utf8').replace('/* {{look}} */', () => look)
  for (const [name, value] of Object.entries(values)) html = html.replaceAll(`{{${name}}}`, escaped(value))
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(html, 'script')}`,
    `style-src ${hashOf(html, 'style')}`,
    'img-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ]
  return {
    html,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': policy.join('; '),
      'cache-control': 'no-store',
    },
  }
}

/**
 * The browser runs this script and no other.
 *
 * @param {string} html
 * @param {string} tag
 */
function hashOf(html, tag) {
  const content = new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(html)?.[1] ?? ''
  return `'sha256-${createHash('sha256').update(content).digest('base64')}'`
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
