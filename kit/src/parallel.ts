/**
 * Runs `work` on every item, `limit` at a time. After a failure no further item is begun; it is thrown when those that
 * were begun have ended, so that nothing goes on behind the caller's back.
 */
export async function inParallel<T>(
  limit: number,
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const left = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failed = false;
  const worker = async () => {
    try {
      for (let next = await left.next(); !next.done && !failed; next = await left.next()) await work(next.value);
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await allEnded(Array.from({ length: limit }, worker));
}

/** As Promise.all, but a failure is thrown when all have ended: what undoes their work must not be overtaken by it. */
export async function allEnded<T extends readonly unknown[]>(
  works: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(works);
  return Promise.all(works);
}
