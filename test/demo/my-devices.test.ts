import { hash } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { html } from '../../examples/my-devices/pages/html.js'
import { deviceOf } from '../../examples/my-devices/user-agent.js'
import { noteVisit, SEEN_EVERY } from '../../examples/my-devices/visit.js'
import { startRedis } from '../support/redis-server.js'
import { until } from '../support/until.js'
import { Device } from './device.js'
import { RunningDemo } from './running-demo.js'

const PROGRAM = 'examples/my-devices/start.js'
const ALICE = 'u-7f3a'
const BOB = 'u-19c4'
const CAROL = 'u-e05d'
const SAM = 'u-b21e'
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0'
const IPHONE =
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1'
const TIME = /Effective everywhere by (\d\d:\d\d:\d\d) UTC/

let site: RunningDemo
let redis: Redis

beforeAll(async () => {
  site = await RunningDemo.start({}, PROGRAM)
  redis = new Redis(site.redisPort)
})

afterAll(async () => {
  redis?.disconnect()
  await site?.stop()
})

const laptop = () => new Device(site, FIREFOX, '192.0.2.1')
const phone = () => new Device(site, IPHONE, '2001:db8::7')

/** What the page of this device calls the others. */
async function handlesOnPage(device: Device): Promise<string[]> {
  const { html } = await device.get(1)
  return [...html.matchAll(/name="device" value="([^"]+)"/g)].map(([, handle = '']) => handle)
}

/** By its next click, on either node. */
async function isLoggedOut(device: Device, node: number): Promise<string> {
  const { text } = await until(async () => {
    const answer = await device.get(node)
    return answer.text.includes('Log in Who would you like to be?') ? answer : undefined
  })
  return text
}

describe('my devices', () => {
  it('lists the devices of a user on either node, and says which one is this', async () => {
    const one = await laptop().logIn(ALICE, 1)
    const other = await phone().logIn(ALICE, 2)
    await laptop().logIn(BOB, 2)
    for (const node of [1, 2]) {
      const { text } = await one.get(node)
      expect(text).toMatch(/Logged in now 2 .*Firefox on Linux This device 192\.0\.2\.1 · in use now/)
      expect(text).toMatch(/Safari on iPhone 2001:db8::7 · last seen just now/)
      expect(text).toContain('2 of 5 devices')
      expect((await other.get(node)).text).toMatch(/Safari on iPhone This device/)
    }
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('logs out one device, which is out with its next click on the other node and is told why', async () => {
    const one = await laptop().logIn(ALICE, 1)
    const lost = await phone().logIn(ALICE, 2)
    await lost.get(2)
    const [handle = ''] = await handlesOnPage(one)
    const { text } = await one.post(1, '/devices/log-out', { device: handle })
    expect(text).toMatch(/Safari on iPhone is logged out\. 1 session ended\. Effective everywhere by/)
    expect(await isLoggedOut(lost, 2)).toContain(
      'This device was logged out. Somebody logged it out from another of your devices, or the security desk did.',
    )
    // It is told once, and so is the other.
    expect((await lost.get(2)).text).not.toContain('was logged out')
    expect((await one.get(2)).text).toMatch(/^Your devices .*Logged in now 1 /)
    expect((await one.get(1)).text).not.toContain('session ended')
    const again = await one.post(2, '/devices/log-out', { device: handle })
    expect(again.text).toContain('That device is not logged in any more.')
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('logs out all but this one, and says how many and from when on it holds', async () => {
    const one = await laptop().logIn(ALICE, 1)
    const others = await Promise.all([2, 1, 2].map(node => phone().logIn(ALICE, node)))
    await one.get(2)
    const before = Date.now()
    const { text } = await one.post(2, '/devices/log-out-others')
    expect(text).toContain('Your other devices are logged out. 3 sessions ended.')
    const [, time] = TIME.exec(text) ?? []
    const effectiveBy = Date.parse(`${new Date(before).toISOString().slice(0, 11)}${time}Z`)
    // Rounded up to a second; over midnight it is of the next day.
    const lasts = (effectiveBy - before + 86_400_000) % 86_400_000
    expect(lasts).toBeGreaterThanOrEqual(2_000)
    expect(lasts).toBeLessThan(Date.now() - before + 3_001)
    for (const [index, other] of others.entries()) await isLoggedOut(other, (index % 2) + 1)
    expect((await one.get(1)).text).toContain('You are logged in nowhere else.')
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('logs out everywhere, here too', async () => {
    const one = await laptop().logIn(ALICE, 1)
    const other = await phone().logIn(ALICE, 2)
    const bob = await laptop().logIn(BOB, 2)
    await one.get(1)
    const { text } = await one.post(1, '/devices/log-out-everywhere')
    expect(text).toMatch(/You are logged out everywhere Sessions ended 2 Effective everywhere by/)
    await isLoggedOut(one, 2)
    await isLoggedOut(other, 1)
    expect((await bob.get(1)).text).toMatch(/^Your devices/)
    // A login after it works at once.
    expect((await (await one.logIn(ALICE, 2)).get(1)).text).toContain('Logged in now 1 ')
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('ends the oldest login for the sixth, and says so', async () => {
    const oldest = await phone().logIn(CAROL, 1)
    for (const node of [2, 1, 2, 1]) await laptop().logIn(CAROL, node)
    expect((await oldest.get(2)).text).toContain('Logged in now 5 ')
    const sixth = await laptop().logIn(CAROL, 2)
    expect((await sixth.get(1)).text).toContain('Logged in now 5 ')
    expect(await isLoggedOut(oldest, 1)).toContain('at most 5 stay logged in. This one was the oldest.')
    await sixth.post(1, '/devices/log-out-everywhere')
  })

  it('writes down when a device was seen once a minute at most, so that reads stay reads', async () => {
    const one = await laptop().logIn(ALICE, 1)
    const key = `my-devices:session:sha256:${hash('sha256', one.sessionId)}`
    const saved = await redis.getBuffer(key)
    expect(saved).not.toBeNull()
    for (const node of [1, 2, 1, 2]) await one.get(node)
    expect(await redis.getBuffer(key)).toEqual(saved)

    const session: { userId: string; seenAt?: number } = { userId: ALICE }
    const visit = () => noteVisit({ session, ip: '192.0.2.1' } as never, {} as never, () => {})
    const now = Date.now()
    visit()
    expect(session.seenAt).toBeGreaterThanOrEqual(now)
    session.seenAt = now - SEEN_EVERY / 2
    visit()
    expect(session.seenAt).toBe(now - SEEN_EVERY / 2)
    session.seenAt = now - SEEN_EVERY
    visit()
    expect(session.seenAt).toBeGreaterThanOrEqual(now)
    await one.post(1, '/devices/log-out-everywhere')
  })
})

describe('its safety', () => {
  it('ends no session of another user, whatever a form says', async () => {
    const bob = await laptop().logIn(BOB, 1)
    await phone().logIn(BOB, 2)
    const [handle = ''] = await handlesOnPage(bob)
    const eve = await laptop().logIn(ALICE, 1)
    await eve.get(1)
    const { text } = await eve.post(1, '/devices/log-out', { device: handle })
    expect(text).toContain('That device is not logged in any more.')
    for (const device of ['', 'sha256:1', bob.sessionId]) {
      expect((await eve.post(1, '/devices/log-out', { device })).status).toBe(400)
    }
    expect((await bob.get(2)).text).toContain('Logged in now ')
    expect(await handlesOnPage(bob)).toContain(handle)
    await bob.post(1, '/devices/log-out-everywhere')
    await eve.post(1, '/devices/log-out-everywhere')
  })

  it('shows no session id on any page, nor to Redis in the name of a key', async () => {
    const one = await laptop().logIn(SAM, 1)
    const other = await phone().logIn(SAM, 2)
    const ids = [one.sessionId, other.sessionId]
    expect(ids.map(id => id.length)).toEqual([32, 32])
    const pages = await Promise.all(['/devices', '/admin'].map(path => one.get(2, path)))
    const keys = await redis.keys('*')
    for (const id of ids) {
      for (const { html } of pages) expect(html).not.toContain(id)
      expect(keys.join('\n')).not.toContain(id)
    }
    expect(keys.join('\n')).not.toContain('sam')
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('takes no form without the token of this login, and none of another site', async () => {
    const one = await laptop().logIn(ALICE, 1)
    await one.get(1)
    const own = one.csrf
    const bob = await laptop().logIn(BOB, 2)
    await bob.get(2)
    const paths = ['/devices/log-out-others', '/devices/log-out-everywhere', '/devices/log-out', '/logout']
    for (const path of paths) {
      for (const csrf of ['', 'x'.repeat(43), bob.csrf]) {
        expect((await one.post(1, path, { csrf })).status).toBe(403)
      }
      for (const site of ['cross-site', 'same-site', 'none']) {
        const answer = await one.post(1, path, { csrf: own }, { 'sec-fetch-site': site })
        expect(answer.status).toBe(403)
      }
    }
    const login = await laptop().post(1, '/login', { user: ALICE }, { origin: 'http://elsewhere.example' })
    expect(login.status).toBe(403)
    expect((await one.get(2)).text).toContain('Logged in now 1 ')
    await one.post(2, '/devices/log-out-everywhere', { csrf: own })
    await bob.post(2, '/devices/log-out-everywhere')
  })

  it('changes nothing by GET', async () => {
    const one = await laptop().logIn(ALICE, 1)
    for (const path of [
      '/devices/log-out-everywhere',
      '/devices/log-out-others',
      '/logout',
      '/admin/jobs/x',
    ]) {
      expect((await one.get(1, path)).status).toBeGreaterThanOrEqual(400)
    }
    expect((await one.get(2)).text).toContain('Logged in now 1 ')
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('gives each login a new id, a cookie that scripts cannot read, and pages that run no script', async () => {
    const one = await laptop().logIn(ALICE, 1)
    const first = one.sessionId
    const { headers } = await one.get(1)
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(headers.get('content-security-policy')).not.toContain('script-src')
    expect(headers.get('cache-control')).toBe('no-store')
    await one.logIn(ALICE, 2)
    expect(one.sessionId).not.toBe(first)
    expect((await one.get(1)).text).toContain('Logged in now 1 ')
    const response = await fetch(site.url(1, '/login'), {
      method: 'POST',
      body: new URLSearchParams({ user: BOB }),
      redirect: 'manual',
    })
    for (const cookie of response.headers.getSetCookie()) {
      expect(cookie).toContain('HttpOnly')
      expect(cookie).toContain('SameSite=Lax')
    }
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('shows as text what came from outside', async () => {
    const one = await new Device(site, FIREFOX, '<img src=x>').logIn(ALICE, 1)
    const { html: page } = await one.get(1)
    expect(page).toContain('&#60;img src=x&#62;')
    expect(page).not.toContain('<img')
    const shown = html`<p title="${`"'<`}">${['<b>', html`<i></i>`, 0, false, undefined, null]}</p>`
    expect(shown.text).toBe('<p title="&#34;&#39;&#60;">&#60;b&#62;<i></i>0</p>')
    await one.post(1, '/devices/log-out-everywhere')
  })

  it('says what is wrong, without saying what is none of a user’s business', async () => {
    const one = await laptop().logIn(ALICE, 1)
    const nowhere = await one.get(1, '/nothing')
    expect([nowhere.status, nowhere.text]).toEqual([404, 'That was not done There is no such page. Go on'])
    expect((await one.post(1, '/login', { user: 'nobody' })).status).toBe(400)
    const large = await one.post(1, '/logout', { csrf: 'x'.repeat(10_000) })
    expect([large.status, large.text]).toEqual([
      413,
      'That was not done The request could not be understood. Go on',
    ])
    await one.get(1)
    await one.post(1, '/devices/log-out-everywhere')
  })
})

describe('the security desk', () => {
  it('is for the security desk', async () => {
    const alice = await laptop().logIn(ALICE, 1)
    await alice.get(1)
    expect((await alice.get(1, '/admin')).status).toBe(403)
    expect((await alice.post(1, '/admin/log-out-everywhere', { user: BOB })).status).toBe(403)
    expect((await laptop().get(1, '/admin')).text).toContain('Who would you like to be?')
    await alice.post(1, '/devices/log-out-everywhere')
  })

  it('ends every session of a user, those too that the index has lost, and shows it on every node', async () => {
    const alice = await Promise.all([laptop().logIn(ALICE, 1), phone().logIn(ALICE, 2)])
    const bob = await phone().logIn(BOB, 2)
    const sam = await laptop().logIn(SAM, 1)
    const [index = ''] = (await redis.keys('crs:index:*')).filter(key => key.includes(ALICE))
    await redis.del(index)
    const before = await sam.get(1, '/admin')
    expect(before.text).toContain('alice u-7f3a 0 sessions')
    const { html } = await sam.post(1, '/admin/log-out-everywhere', { user: ALICE })
    const [job = ''] = /\/admin\/jobs\/[0-9a-f-]+/.exec(html) ?? []
    const { text } = await until(async () => {
      const answer = await sam.get(2, job)
      return TIME.test(answer.text) ? answer : undefined
    })
    expect(text).toMatch(/alice is logged out everywhere .* Found to be of alice 2 Ended 2 /)
    for (const [index, device] of alice.entries()) await isLoggedOut(device, 2 - index)
    expect((await bob.get(1)).text).toMatch(/^Your devices/)
    await until(async () => {
      const journal = await sam.get(2, '/admin')
      return (
        journal.text.includes('sam logs alice out everywhere node-1') &&
        journal.text.includes('sessions of alice ended: 2 node-1') &&
        /revoked [0-9a-f]{8} all of one user, or all but one node-1/.test(journal.text) &&
        /created [0-9a-f]{8} a login node-2/.test(journal.text)
      )
    })
    expect((await sam.get(2, '/admin?live')).html).toContain('http-equiv="refresh"')
    await sam.post(1, '/devices/log-out-everywhere')
    await bob.get(1)
    await bob.post(1, '/devices/log-out-everywhere')
  })
})

it('does not say that anybody is logged out while Redis does not answer; done again, it is', async () => {
  await using server = await startRedis()
  await using other = await RunningDemo.start({ REDIS_URL: server.url }, PROGRAM)
  const one = await new Device(other, FIREFOX).logIn(ALICE, 1)
  await new Device(other, IPHONE).logIn(ALICE, 2)
  await one.get(1)
  await server.pause()
  const refused = await one.post(1, '/devices/log-out-everywhere')
  expect(refused.status).toBe(503)
  expect(refused.text).toMatch(/not confirmed|cannot do that at the moment/)
  await server.resume()
  const { text } = await until(async () => {
    const answer = await one.post(1, '/devices/log-out-everywhere')
    return answer.status === 200 ? answer : undefined
  })
  // What was under way when Redis stopped may have been done.
  expect(text).toMatch(/logged out everywhere|Who would you like to be\?/)
  expect((await server.client().keys('my-devices:session:*')).length).toBe(0)
})

it('runs where there is no redis-server', async () => {
  await using started = await RunningDemo.start({ PATH: '' }, PROGRAM)
  expect(started.output).toContain('js-redis-server')
  const one = await new Device(started, FIREFOX).logIn(ALICE, 1)
  const lost = await new Device(started, IPHONE).logIn(ALICE, 2)
  expect((await one.get(1)).text).toContain('Logged in now 2 ')
  expect((await one.post(1, '/devices/log-out-others')).text).toContain('1 session ended.')
  await isLoggedOut(lost, 2)
  expect(await started.stop('SIGINT')).toBe(0)
  expect(started.errors).toBe('')
})

describe('what a browser says of itself', () => {
  const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)'
  it.each([
    [FIREFOX, 'Firefox on Linux', 'computer'],
    [IPHONE, 'Safari on iPhone', 'phone'],
    [
      `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0`,
      'Edge on Windows',
      'computer',
    ],
    [
      `Mozilla/5.0 (Linux; Android 15; SM-X710) ${WEBKIT} Chrome/130.0 Safari/537.36`,
      'Chrome on Android',
      'tablet',
    ],
    [
      `Mozilla/5.0 (Linux; Android 15) ${WEBKIT} SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36`,
      'Samsung Internet on Android',
      'phone',
    ],
    [
      `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${WEBKIT} Chrome/130.0 Safari/537.36`,
      'Chrome on macOS',
      'computer',
    ],
    ['curl/8.5.0', 'curl', 'unknown'],
    ['<script>', 'Unknown device', 'unknown'],
    [undefined, 'Unknown device', 'unknown'],
  ])('%s', (userAgent, name, kind) => {
    expect(deviceOf(userAgent)).toEqual({ name, kind })
  })
})
