/**
 * Answers of tasks, in their order. While one is looked at, the next `count` are under way, so that Redis does not wait for
 * this node, nor this node for Redis. A failure is thrown when its turn comes.
 */
export async function* readAhead<T>(
  tasks: AsyncIterable<() => Promise<T>>,
  count: number,
): AsyncGenerator<T> {
  const answers: Promise<T>[] = []
  for await (const task of tasks) {
    answers.push(ahead(task()))
    if (answers.length <= count) continue
    yield await (answers.shift() as Promise<T>)
    // What is at hand already must not keep the event loop from all other work.
    await new Promise(setImmediate)
  }
  for (const answer of answers) yield await answer
}

/** What is asked for before its turn: if its turn never comes, nobody wants to know that it failed. */
export function ahead<T>(answer: Promise<T>): Promise<T> {
  answer.catch(() => {})
  return answer
}
