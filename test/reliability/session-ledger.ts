import type { Answer } from './http-connection.js'

/** `guest` is a request without a cookie; `me` reads the session, `count` changes it. */
export type RequestKind = 'guest' | 'me' | 'count' | 'login' | 'logout'

/**
 * What one client has been told of its session, and so what it may be told next.
 *
 * After an error the outcome is unknown: the command may have been executed, may yet be, or never will. Both what was
 * and what may have become of it are right from then on, until an answer says which.
 */
export class SessionLedger {
  readonly #user: string
  #mayBeIn = false
  #mayBeOut = true
  /** A login of unknown outcome may yet be executed. */
  #mayYetBegin = false
  /** A logout of unknown outcome may yet be executed, or Redis has lost the session. */
  #mayYetEnd = false
  #changeInDoubt = false
  #least = 0
  #most = 0
  /** The last answer said that nobody is logged in. */
  turnedAway = false

  constructor(user: string) {
    this.#user = user
  }

  /** Redis has lost everything. */
  lose(): void {
    this.#mayBeOut = true
    this.#mayYetEnd = this.#mayBeIn
    this.#mayYetBegin ||= this.#changeInDoubt
    this.#least = 0
  }

  /** Takes note of an answer; says what is wrong with it, if anything is. */
  take(kind: RequestKind, answer: Answer): string | undefined {
    const { status } = answer
    if (status === 0) return `got no answer: ${answer.trouble}`
    if (status >= 500) return this.#takeError(kind, status)
    if (kind === 'guest') return status === 200 ? undefined : `answered ${status} without a cookie`
    if (kind === 'login' && status === 200) return this.#takeLogin()
    if (kind === 'logout' && status === 204) return this.#takeLogout()
    if ((kind === 'me' || kind === 'count') && status === 401) return this.#takeNobody()
    if ((kind === 'me' || kind === 'count') && status === 200) return this.#takeSession(kind, answer.body)
    return `answered ${status}`
  }

  #takeError(kind: RequestKind, status: number): string | undefined {
    this.turnedAway = false
    if (kind === 'guest') return `answered ${status} although Redis has no part in it`
    if (kind === 'login') {
      this.#mayBeIn = this.#mayBeOut = this.#mayYetBegin = this.#mayYetEnd = true
      this.#least = 0
    }
    if (kind === 'logout') this.#mayBeOut = this.#mayYetEnd = true
    if (kind === 'count') {
      this.#changeInDoubt = true
      this.#most++
    }
    return undefined
  }

  #takeLogin(): undefined {
    this.#mayBeIn = true
    this.#mayBeOut = this.#mayYetBegin = this.#mayYetEnd = this.#changeInDoubt = this.turnedAway = false
    this.#least = this.#most = 0
  }

  #takeLogout(): undefined {
    this.#mayBeOut = true
    this.#mayBeIn = this.#mayYetBegin = this.#mayYetEnd = false
  }

  #takeNobody(): string | undefined {
    this.turnedAway = true
    if (!this.#mayBeOut) return 'false logout: answered 401 although it is logged in'
    this.#mayBeIn = this.#mayYetBegin
    return undefined
  }

  #takeSession(kind: RequestKind, { user, count = -1 }: Answer['body']): string | undefined {
    this.turnedAway = false
    if (!this.#mayBeIn) return 'logout undone: answered 200 after it was logged out'
    this.#mayBeOut = this.#mayYetEnd
    if (user !== this.#user) return `answered with the session of ${user}`
    const added = kind === 'count' ? 1 : 0
    if (count < this.#least + added) {
      return `acknowledged save lost: answered ${count}, at least ${this.#least + added} was acknowledged`
    }
    if (count > this.#most + added)
      return `answered ${count}, at most ${this.#most + added} can have been counted`
    this.#least = count
    this.#most = Math.max(this.#most, count)
    return undefined
  }
}
