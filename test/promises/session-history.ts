/** What one node did with one session, or with all of a user, as it noted it; times by the one clock of the machine. */
export interface Deed {
  kind: 'login' | 'read' | 'save' | 'change user' | 'revoke'
  node: string
  /** Whose it was; for a read, of whom it told. */
  user: string
  /** For a revocation what it kept, or ''. */
  sid: string
  began: number
  ended: number
  /** False if it was refused. */
  done: boolean
  found?: boolean
  effectiveBy?: number
}

/** All that happened, in order; a session that ever changed its user proves nothing but that it is in some index. */
export class SessionHistory {
  readonly deeds: Deed[]
  readonly #ofSession = new Map<string, Deed[]>()
  readonly #revocations: Deed[]

  constructor(deeds: Deed[]) {
    this.deeds = deeds.sort((one, other) => one.began - other.began)
    this.#revocations = deeds.filter(({ kind }) => kind === 'revoke')
    for (const deed of deeds) {
      if (deed.kind === 'revoke') continue
      const known = this.#ofSession.get(deed.sid) ?? []
      this.#ofSession.set(deed.sid, known)
      known.push(deed)
    }
  }

  /** Sessions that were one user's from beginning to end: how they began, and what came after. */
  get plain(): { login: Deed; later: Deed[] }[] {
    return [...this.#ofSession.values()].flatMap(deeds => {
      const login = deeds.find(({ kind }) => kind === 'login')
      if (!login || deeds.some(({ kind }) => kind === 'change user')) return []
      return [{ login, later: deeds.filter(deed => deed !== login) }]
    })
  }

  /** The revocations that concern a session. */
  revocationsOf({ user, sid }: Deed): Deed[] {
    return this.#revocations.filter(each => each.user === user && each.sid !== sid)
  }
}
