import calculateSlot from 'cluster-key-slot'

/**
 * How many numbers are tried. A primary that owns a thousandth of the slots is found within them for certain, so to speak,
 * and one that owns none does not hold up the event loop.
 */
const NUMBERS = 20_000

/** Finds a number that puts a name into a wanted slot of Redis Cluster. What was computed once is kept. */
export class SlotFinder {
  readonly #nameOf: (number: number) => string
  readonly #slots: number[] = []
  /** The first number that leads to a slot, of those computed so far. */
  readonly #numbers = new Map<number, number>()

  constructor(nameOf: (number: number) => string) {
    this.#nameOf = nameOf
  }

  /** The first number that fits; undefined if none does, as where a tag in front of it decides on the slot. */
  among(wanted: (slot: number) => boolean): number | undefined {
    for (let number = 0; number < NUMBERS; number++) if (wanted(this.#slotOf(number))) return number
    return undefined
  }

  /** The number for a slot; there is one for each. */
  exactly(slot: number): number {
    for (;;) {
      const number = this.#numbers.get(slot)
      if (number !== undefined) return number
      this.#slotOf(this.#slots.length)
    }
  }

  #slotOf(number: number): number {
    const known = this.#slots[number]
    if (known !== undefined) return known
    const slot = calculateSlot(this.#nameOf(number))
    this.#slots[number] = slot
    if (!this.#numbers.has(slot)) this.#numbers.set(slot, number)
    return slot
  }
}
