import { setTimeout as delay } from "node:timers/promises";
import type { Contender } from "./runtimes.ts";

/** Pause before each measurement, `ms` */
const REST_MS = 150;

/** Times of each contender, `ms`. In turns, so that whatever else the machine does falls on all alike. */
export async function inTurns(contenders: Contender[], runs: number): Promise<Map<string, number[]>> {
  const times = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (const contender of contenders) await contender.once();
  for (let round = 0; round < runs; round++) {
    for (const contender of contenders) {
      // Each begins on a machine at rest, as a request does, and not in the wake of the one before.
      await delay(REST_MS);
      times.get(contender.name)?.push(await contender.once());
    }
  }
  for (const contender of contenders) await contender.close();
  return times;
}

export async function timed(action: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await action();
  return performance.now() - started;
}
