import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";

export interface Background {
  /** Ends the rounds; resolves when the last one is over. */
  stop(): Promise<void>;
}

/**
 * Calls `work` now and again `ms` after each end; never twice at a time. What it throws is a warning and the
 * next round tries again, so whatever it does must be safe to repeat.
 */
export function repeat(
  what: string,
  ms: number,
  logger: Logger,
  work: (signal: AbortSignal) => Promise<unknown>,
): Background {
  const closing = new AbortController();
  const { signal } = closing;
  const rounds = async () => {
    while (!signal.aborted) {
      await work(signal).catch((err) => logger.warn({ err: err.message }, `${what} failed; it is tried again`));
      await delay(ms, undefined, { signal }).catch(() => undefined);
    }
  };
  const ended = rounds();
  return {
    stop: async () => {
      closing.abort();
      await ended;
    },
  };
}
