import type { RunningDemo } from './running-demo.js'

/** A browser without scripts: it keeps cookies, and sends the forms that it was shown. */
export class Device {
  readonly #site: RunningDemo
  readonly #headers: Record<string, string>
  readonly #cookies = new Map<string, string>()
  csrf = ''

  constructor(site: RunningDemo, userAgent: string, ip = '192.0.2.1') {
    this.#site = site
    this.#headers = { 'user-agent': userAgent, 'x-forwarded-for': ip }
  }

  /** The id that its cookie holds, behind `s:` and in front of the signature. */
  get sessionId(): string {
    return /^s:([^.]+)\./.exec(decodeURIComponent(this.#cookies.get('my-devices.sid') ?? ''))?.[1] ?? ''
  }

  async logIn(user: string, node = 1): Promise<this> {
    await this.post(node, '/login', { user })
    return this
  }

  get(node: number, path = '/devices'): Promise<Answer> {
    return this.#send(node, path)
  }

  /** With the token of the form of the last page. */
  post(node: number, path: string, fields: Record<string, string> = {}, headers = {}): Promise<Answer> {
    const body = new URLSearchParams({ csrf: this.csrf, ...fields })
    return this.#send(node, path, { method: 'POST', body, headers })
  }

  async #send(node: number, path: string, init: RequestInit = {}): Promise<Answer> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(this.#site.url(node, path), {
      ...init,
      headers: { ...this.#headers, cookie, ...init.headers },
      redirect: 'manual',
    })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (value === '') this.#cookies.delete(name)
      else this.#cookies.set(name, value)
    }
    const location = response.headers.get('location')
    if (response.status === 303 && location) return this.#send(node, location)
    const html = await response.text()
    this.csrf = /name="csrf" value="([^"]+)"/.exec(html)?.[1] ?? this.csrf
    return { status: response.status, headers: response.headers, html, text: textOf(html) }
  }
}

export interface Answer {
  status: number
  headers: Headers
  html: string
  /** What one reads. */
  text: string
}

function textOf(html: string): string {
  return html
    .replace(/^.*<main[^>]*>(.*)<\/main>.*$/s, '$1')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
}
