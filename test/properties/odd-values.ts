import fc from 'fast-check'

/** What may come in place of a time, of a name, or of anything else. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, true, false, '', '5', 'tomorrow', '60000', '1d'),
  fc.constantFrom<unknown>(NaN, Infinity, -Infinity, 0, -0, -1, 0.5, 1e-9, 1e15, 1e300, -1e300, 2 ** 53),
  fc.constantFrom<unknown>(1n, 2n ** 70n, Symbol('odd'), [], [5], [[]], {}, Object.create(null), () => 5),
  fc.constantFrom<unknown>(new Date(NaN), new Date(0), new Date(8.64e15), new Map(), /x/, new Error('odd')),
  fc.double(),
  fc.date({ noInvalidDate: false }),
  fc.date({ noInvalidDate: false }).map(String),
  fc.string({ unit: 'binary' }),
)

/** Text with all that may mean something to somebody on its way. */
export const oddText = (maxLength = 12): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.constantFrom(
      ...['a', 'b', '0', ':', '*', '?', '[', ']', '^', '-', '{', '}', '\\', '%', '"', "'", ' ', '\n', '\0'],
      ...['\u007f', 'é', '\ufffd', '\u2028', '🦊', '\ud83e', '\udd8a', 'crs:', '..', '/'],
    ),
    maxLength,
  })
