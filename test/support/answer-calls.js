// @ts-check

/**
 * Does what the process that has started this one asks for over IPC, and answers with what comes of it.
 *
 * @param {Record<string, (...args: any[]) => unknown>} calls
 */
export function answerCalls(calls) {
  process.on(
    'message',
    async (/** @type {{ id: number, call: string, args: unknown[] }} */ { id, call, args }) => {
      try {
        const result = await calls[call]?.(...args)
        process.send?.({ id, result })
      } catch (error) {
        process.send?.({ id, error: /** @type {{ code?: string }} */ (error).code ?? String(error) })
      }
    },
  )
}
