function into(target: object): object {
  return target
}

/** As a base class it makes the fields of its heirs land on an object that exists already. */
const Into = into as unknown as new (target: object) => object

interface HiddenField<Value> {
  of(target: object): Value | undefined
  /** Does nothing to an object that takes no fields. */
  put(target: object, value: Value): void
}

/**
 * A field of objects that are not ours, where nobody sees it: it takes no part in enumeration, comparison or JSON. A WeakMap
 * would do the same and cost a third of a hit, most of it in the garbage collector.
 */
export function hiddenField<Value>(): HiddenField<Value> {
  return class extends Into {
    #value: Value

    private constructor(target: object, value: Value) {
      super(target)
      this.#value = value
    }

    static of(target: object): Value | undefined {
      return #value in target ? target.#value : undefined
    }

    static put(target: object, value: Value): void {
      if (#value in target) target.#value = value
      else if (Object.isExtensible(target)) new this(target, value)
    }
  }
}
