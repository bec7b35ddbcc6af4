// @ts-check
// What a browser says of itself is good enough to recognise one's own devices. It proves nothing: anybody can say it.

/** The first that fits, so what pretends to be another comes before that: Edge says "Chrome", and Chrome says "Safari". */
const BROWSERS = [
  ['Edge', /\bEdg(?:e|A|iOS)?\//],
  ['Opera', /\bOPR\//],
  ['Samsung Internet', /\bSamsungBrowser\//],
  ['Firefox', /\b(?:Firefox|FxiOS)\//],
  ['Chrome', /\b(?:Chrome|CriOS|Chromium|HeadlessChrome)\//],
  ['Safari', /\bSafari\//],
  ['curl', /^curl\//],
]
const SYSTEMS = [
  ['iPhone', /\biPhone\b/],
  ['iPad', /\biPad\b/],
  ['Android', /\bAndroid\b/],
  ['ChromeOS', /\bCrOS\b/],
  ['Windows', /\bWindows\b/],
  ['macOS', /\bMac OS X\b/],
  ['Linux', /\bLinux\b/],
]

/**
 * @param {string} [userAgent]
 * @returns {{ name: string, kind: 'phone' | 'tablet' | 'computer' | 'unknown' }}
 */
export function deviceOf(userAgent = '') {
  const browser = firstIn(BROWSERS, userAgent)
  const system = firstIn(SYSTEMS, userAgent)
  const name = browser && system ? `${browser} on ${system}` : (browser ?? system ?? 'Unknown device')
  if (system === 'iPad' || (system === 'Android' && !/\bMobile\b/.test(userAgent)))
    return { name, kind: 'tablet' }
  if (system === 'iPhone' || system === 'Android') return { name, kind: 'phone' }
  return { name, kind: system ? 'computer' : 'unknown' }
}

/**
 * @param {(string | RegExp)[][]} list
 * @param {string} userAgent
 */
function firstIn(list, userAgent) {
  const found = list.find(([, pattern]) => /** @type {RegExp} */ (pattern).test(userAgent))
  return /** @type {string | undefined} */ (found?.[0])
}
