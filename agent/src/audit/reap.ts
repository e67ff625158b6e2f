import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import type { Trace } from "@mags/protocol";

export interface Reaped {
  traces(): Promise<Trace[]>;
  /** takes one away, unless something that lives has it */
  remove(trace: Pick<Trace, "kind" | "name">): Promise<void>;
}

/** Each round, removes what nothing has that lives and what nothing had in the round before. Until the signal fires; never throws. */
export async function reap(
  { traces, remove }: Reaped,
  { roundMs, signal, logger }: { roundMs: number; signal: AbortSignal; logger: Logger },
): Promise<void> {
  let before = new Set<string>();
  for (;;) {
    await delay(roundMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const left = (await traces()).filter(({ held }) => held === false);
      for (const { kind, name } of left.filter((each) => before.has(keyOf(each)))) {
        logger.warn({ kind, name }, "removing what nothing has that lives");
        await remove({ kind, name });
      }
      before = new Set(left.map(keyOf));
    } catch (err) {
      logger.warn({ err }, "looking for leftovers failed");
    }
  }
}

const keyOf = ({ kind, name }: Trace) => `${kind} ${name}`;
