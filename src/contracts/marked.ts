import type { Sighting } from '../sessions/sighting.js'

function into(target: object): object {
  return target
}

/** As a base class it makes the fields of its heirs land on an object that exists already. */
const Into = into as unknown as new (target: object) => object

/**
 * Puts a sighting onto a session object where nobody sees it: a private field takes no part in enumeration, comparison
 * or JSON. A WeakMap would do the same and cost a third of a hit, most of it in the garbage collector.
 */
export class Marked extends Into {
  #sighting: Sighting

  private constructor(target: object, sighting: Sighting) {
    super(target)
    this.#sighting = sighting
  }

  static mark(target: object, sighting: Sighting): void {
    if (#sighting in target) target.#sighting = sighting
    else if (Object.isExtensible(target)) new Marked(target, sighting)
  }

  static sightingOf(target: object): Sighting | undefined {
    return #sighting in target ? target.#sighting : undefined
  }
}
