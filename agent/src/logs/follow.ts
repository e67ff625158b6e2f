import type { LogEnd, LogEntry } from "@mags/protocol";
import { type LogPlace, LogReader, readEnd } from "@mags/storage";
import type { LogCapture } from "./capture.ts";

/** Entries read at a time */
const BATCH = 1000;
/** After this long without its end an unfinished line is shown as it is, `ms` */
const PARTIAL_MS = 100;

export type Followed = { cursor: string; entry: LogEntry } | { end: LogEnd };

/**
 * Yields a log's entries as they come, and its end as the last thing. `live` is the capture that writes it, or undefined
 * when none does. Returns early when `signal` is aborted, or when the log is not ended and nobody writes it any more.
 */
export async function* followLogs(
  place: LogPlace & { live?: LogCapture | undefined; signal: AbortSignal },
): AsyncGenerator<Followed> {
  const { dir, after, live, signal } = place;
  const reader = await LogReader.open(dir, after);
  try {
    while (!signal.aborted) {
      const changed = nextChange(live, signal);
      const end = await readEnd(dir);
      let count = 0;
      for (
        let batch = await reader.next(BATCH, end !== null);
        batch.length > 0;
        batch = await reader.next(BATCH, end !== null)
      ) {
        count += batch.length;
        yield* batch;
        if (signal.aborted) return;
      }
      if (end) {
        yield { end };
        return;
      }
      if (!live || (await changed.within(PARTIAL_MS))) {
        if (!live) return;
        continue;
      }
      if (count === 0) yield* await reader.next(BATCH, true);
      else continue;
      await changed.ever();
    }
  } finally {
    await reader.close();
  }
}

/** Watches a capture from now on, so that nothing between a look at the files and the wait is missed. */
function nextChange(live: LogCapture | undefined, signal: AbortSignal) {
  const { promise, resolve } = Promise.withResolvers<true>();
  const done = () => {
    live?.off("data", done);
    live?.off("end", done);
    signal.removeEventListener("abort", done);
    resolve(true);
  };
  live?.once("data", done);
  live?.once("end", done);
  signal.addEventListener("abort", done, { once: true });
  if (live?.ended || signal.aborted) done();
  return {
    ever: () => promise,
    within: (ms: number) => {
      const timer = Promise.withResolvers<false>();
      const timeout = setTimeout(() => timer.resolve(false), ms);
      return Promise.race([promise, timer.promise]).finally(() => clearTimeout(timeout));
    },
  };
}
