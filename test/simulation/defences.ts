/** One defence, and what the code is without it. */
export interface Defence {
  readonly name: string
  /** Of the compiled code. */
  readonly file: string
  readonly defended: string
  readonly defenceless: string
  /** Why the simulation does not notice that it is missing; a test that does is in docs/architecture.md, under Hazards. */
  readonly unnoticed?: string
}

const cache = 'src/cache/local-cache.js'
const entry = 'src/cache/entry.js'
const bus = 'src/bus/channel-bus.js'
const lines = 'src/bus/lines.js'
const line = 'src/bus/line.js'
const lease = 'src/bus/echo-lease.js'
const scripts = 'test/support/script-model.js'
const writer = 'src/sessions/session-writer.js'

/** What stands between a fault and a broken promise. Each is taken away, and the simulation must notice. */
export const defences: readonly Defence[] = [
  {
    name: 'reads fill memory only with a live ticket',
    file: cache,
    defended: 'const { name, live } = ticket;',
    defenceless: 'const { name, live } = { name: ticket.name, live: true };',
  },
  {
    name: 'writes enter memory only if none overlapped',
    file: cache,
    defended: 'this.#enter(ticket.name, entry, live);',
    defenceless: 'this.#enter(ticket.name, entry, true);',
  },
  {
    name: 'a read that was overtaken takes along what is held',
    file: cache,
    defended: 'if (!live)\n            this.#entries.delete(name);',
    defenceless: '',
  },
  {
    name: 'the end of a session is checked on a hit',
    file: entry,
    defended: 'wall < this.#endWall &&\n            monotonic < this.#endMonotonic',
    defenceless: 'true',
  },
  {
    name: 'the lease ends',
    file: lines,
    defended: 'return age !== null && age < this.#options.maxStaleness;',
    defenceless: 'return age !== null;',
  },
  {
    name: 'memory is emptied when the subscriber is closed, or subscribed again',
    file: lines,
    defended: '#miss(reason, channels = this.#listeners.keys()) {',
    defenceless:
      '#miss(reason, channels = this.#listeners.keys()) {\n        if (/closed|confirmed/.test(reason)) return;',
  },
  {
    name: 'nothing enters memory while deaf, and all tickets are void after it',
    file: 'src/bus/coordinator.js',
    defended: 'cache.accepting = all;',
    defenceless: 'cache.accepting = true;',
    unnoticed: 'what enters while deaf is dropped at the ack, and not served before',
  },
  {
    name: 'own messages are known by the instance, not by the node id',
    file: bus,
    defended: 'message.instance === this.instance',
    defenceless: 'message.node === this.nodeId',
  },
  {
    name: 'own messages of writes that were given up are obeyed',
    file: bus,
    defended: 'if (message.round === this.#round) {',
    defenceless: 'if (true) {',
    unnoticed:
      'nothing is read between a write that was given up and its execution; where it is, slots move, and the epoch empties memory',
  },
  {
    name: 'a subscriber of another server is noticed by run_id',
    file: line,
    defended: 'this.identified && runId !== subscription.runId',
    defenceless: 'false',
    unnoticed:
      'there the nonce does not come back, or comes after all messages; of those that are lost some nonce is one',
  },
  {
    name: 'another history of writes is noticed by master_replid',
    file: line,
    defended: "this.#replicationId !== '' && this.#replicationId !== replication",
    defenceless: 'false',
  },
  {
    name: 'a probe is a write, and tells which server has executed it',
    file: line,
    defended: "await port.run(probeScript, [key], [privateChannel, nonce, port.isCluster ? '1' : ''])",
    defenceless:
      "port.isCluster ? await port.run(probeScript, [key], [privateChannel, nonce, '1']) : (await port.publish(privateChannel, nonce), [])",
  },
  {
    name: 'a probe counts when its server has confirmed it',
    file: lease,
    defended: 'if (!probe.echoed || !probe.confirmed)',
    defenceless: 'if (!probe.echoed)',
    unnoticed: 'its servers send a nonce only if they have executed the probe',
  },
  {
    name: 'a lease counts from when its probe was sent',
    file: lease,
    defended: 'this.#heardSince = probe.sentAt;',
    defenceless: 'this.#heardSince = { wall: Number.MAX_SAFE_INTEGER, monotonic: Number.MAX_SAFE_INTEGER };',
  },
  {
    name: 'time is told by both clocks',
    file: 'src/base/clock.js',
    defended: 'return Math.max(now.monotonic - since.monotonic, now.wall - since.wall);',
    defenceless: 'return now.monotonic - since.monotonic;',
  },
  {
    name: 'what is left of a life counts from when it was asked for',
    file: 'src/sessions/session-reader.js',
    defended: 'expiry: { since: readAt, ms:',
    defenceless: 'expiry: { since: momentOf(this.#parts.clock), ms:',
  },
  {
    name: 'a save gives way to a tombstone that its request has not seen',
    file: scripts,
    defended: 'if (unseen)',
    defenceless: 'if (false)',
  },
  {
    name: 'a destroy that is sent twice finds its own tombstone',
    file: scripts,
    defended: 'const again = before?.endsWith(id) === true;',
    defenceless: 'const again = false;',
  },
  {
    name: 'a creation runs over no tombstone that may be younger than it',
    file: writer,
    defended: 'if (!creation.doubtful && this.#parts.port.losses === losses)',
    defenceless: 'if (true)',
  },
  {
    name: 'a creation runs over tombstones of before',
    file: writer,
    defended: 'if (!creation?.firstAttempt)',
    defenceless: 'if (true)',
  },
  {
    name: 'a load says which tombstone it has seen',
    file: 'src/sessions/sessions.js',
    defended: 'tombstone, seenAt };',
    defenceless: "tombstone: '', seenAt };",
  },
  {
    name: 'writes of one session go one after the other',
    file: 'src/base/keyed-order.js',
    defended: 'const previous = this.#last.get(key);',
    defenceless: 'const previous = undefined;',
  },
  {
    name: 'a shorter life of this node is felt here',
    file: 'src/sessions/session-toucher.js',
    defended: "if (outcome === 'shortened')",
    defenceless: 'if (false)',
  },
  {
    name: 'a shorter life is told to the others',
    file: scripts,
    defended: 'if (shorter && channel)',
    defenceless: 'if (false)',
  },
  {
    name: 'a destroy tells the others',
    file: 'src/sessions/session-destroyer.js',
    defended: "bus.announce({ type: 'SessionDeleted', ids, ...whyOf(ending) })",
    defenceless: "{ channel: '', message: '' }",
  },
  {
    name: 'a save tells the others',
    file: writer,
    defended: "bus.announce({ type: 'SessionInvalidated', ids: names.published(ref) })",
    defenceless: "{ channel: '', message: '' }",
  },
  {
    name: 'clear tells the others',
    file: 'src/bus/coordinator.js',
    defended: "case 'CacheClear':\n                cache.clear();",
    defenceless: "case 'CacheClear':",
    unnoticed: 'each batch of destroys tells them, too',
  },
  {
    name: 'what was read is not joined when something came between',
    file: 'src/sessions/reads-under-way.js',
    defended: 'current?.ticket.live &&',
    defenceless: 'current &&',
    unnoticed: 'on one connection the answer of a read is there before that of a later write',
  },
  {
    name: 'every command has a deadline',
    file: 'src/base/within.js',
    defended: 'turn = setImmediate(() => reject(late(ms)));',
    defenceless: '',
  },
  {
    name: 'a write with an unknown outcome is in doubt',
    file: bus,
    defended: 'doubt() {\n        this.#round++;',
    defenceless: 'doubt() {',
    unnoticed: 'on one connection whatever is read later is read after it was executed',
  },
  {
    name: 'every primary has a line of its own',
    file: lines,
    defended: '.filter(({ owns }) => keyspace.probe(owns) !== undefined)',
    defenceless: '.slice(0, 1)',
  },
  {
    name: 'every line has to have heard lately',
    file: lines,
    defended: 'oldest = Math.max(oldest, elapsed(line.heardSince, now));',
    defenceless: 'oldest = Math.min(oldest || 1e9, elapsed(line.heardSince, now));',
  },
  {
    name: 'a primary that is gone empties memory',
    file: lines,
    defended: "this.#miss('a primary is gone');",
    defenceless: '',
    unnoticed: 'the epoch changes when primaries do, and empties memory with the next probe of the others',
  },
  {
    name: 'primaries that the client does not know are noticed by cluster_size',
    file: lines,
    defended: 'this.#unknownPrimaries = count !== port.primaries().length;',
    defenceless: 'this.#unknownPrimaries = false;',
    unnoticed: 'the epoch says so, too; without either it takes some 10,000 seeds',
  },
  {
    name: 'a resharding is noticed by the epoch',
    file: line,
    defended: "[runId = '', replicationId = '', epoch = '']",
    defenceless: "[runId = '', replicationId = ''], epoch = ''",
    unnoticed: 'cluster_size says so, too; without either it takes some 10,000 seeds',
  },
  {
    name: 'a server that refuses a probe is left',
    file: line,
    defended: '/READONLY|NOREPLICAS|CLUSTERDOWN|MOVED/.test(message)',
    defenceless: 'false',
    unnoticed: 'it does not echo it, so the lease ends; who executes the next one has another run_id',
  },
  {
    name: 'a session is entered into its index, also where that is on another server',
    file: 'src/sessions/session-repository.js',
    defended: 'const full = apart && (await entries.enter(apart, entered, until));',
    defenceless: 'const full = undefined;',
  },
  {
    name: 'an entry is removed only when no save can be under way',
    file: 'src/indexes/index-entries.js',
    defended: 'this.#grace = port.isCluster ? grace : 0;',
    defenceless: 'this.#grace = 0;',
    unnoticed:
      'between an entry and its session is one trip, into which reading and pruning would have to fall',
  },
  {
    name: 'a walk ends with the server that slots go to',
    file: 'src/redis/walk-order.js',
    defended: 'one.holding.epoch - two.holding.epoch',
    defenceless: 'two.holding.epoch - one.holding.epoch',
    unnoticed: 'a walk takes one trip for each server, and would have to fall between two slots of one move',
  },
  {
    name: 'a walk fails when slots have changed hands meanwhile',
    file: 'src/redis/walk-order.js',
    defended: 'later.epochs.join() !== this.epochs.join()',
    defenceless: 'false',
  },
  {
    name: 'a walk waits for the first slot of a server',
    file: 'src/redis/walk-order.js',
    defended: '!toLast || earlier.some(({ importing }) => importing)',
    defenceless: 'false',
  },
  {
    name: 'a walk is over all servers that own something',
    file: 'src/redis/walk-order.js',
    defended: '!this.#allKnown()',
    defenceless: 'false',
  },
  {
    name: 'what has moved between SCAN and its read is looked for',
    file: 'src/sessions/session-query.js',
    defended: "value === 'moved' || life === 'moved'",
    defenceless: 'false',
    unnoticed:
      'the read would have to come late, behind the SCAN of the next server, and the slots move in between',
  },
  {
    name: 'what a revocation finds gone leaves memory',
    file: 'src/sessions/index-lookup.js',
    defended: 'cache?.evict(ref.name)',
    defenceless: '{}',
    unnoticed:
      'it takes some 13,000 seeds: a destroy by another has to fall into a revocation, and its message to come late',
  },
  {
    name: 'who knows that an entry stands may be served the session',
    file: 'src/sessions/enrolment.js',
    defended: '!bus.trusted(now) ||',
    defenceless: '',
    unnoticed: 'what is held while it is not trusted is seldom older than its entry',
  },
]
