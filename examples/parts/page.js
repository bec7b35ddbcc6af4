// @ts-check
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

const template = readFileSync(new URL('page.html', import.meta.url), 'utf8')

/**
 * The page is the same everywhere but for the node's name. What it shows of sessions it asks for, and puts in place as
 * text.
 *
 * @param {Record<'name' | 'framework', string>} node
 */
export function page(node) {
  const html = template
    .replaceAll('{{name}}', escaped(node.name))
    .replaceAll('{{framework}}', escaped(node.framework))
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
