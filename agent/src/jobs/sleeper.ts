import type { Activity } from "../access/activity.ts";
import { type BusyLimits, Idleness } from "./idleness.ts";
import type { Machine } from "./machine.ts";

/** After it could not be put away a machine stays up at least so long, `ms`. */
const AWAKE_AGAIN_MS = 30_000;

/** Puts the machine of a persistent job away when it is told to: not before everything in it is durable. */
export class Sleeper {
  readonly #options: { machine: Machine; log: (line: string) => void; fallAsleep: (because: string) => void };
  readonly #idleness: Idleness;
  #awakeUntil = 0;

  constructor(options: {
    machine: Machine;
    activity: Activity;
    limits: BusyLimits;
    /** a line for people */
    log: (line: string) => void;
    /** everything is durable: the machine is to end */
    fallAsleep: (because: string) => void;
  }) {
    this.#options = options;
    const { machine, activity, limits } = options;
    this.#idleness = new Idleness({
      activity,
      limits,
      guests: () => machine.guests,
      sandbox: machine.sandbox,
      gone: () => options.fallAsleep("its machine ended by itself"),
    });
  }

  idle(): { idle_ms: number; because: string } {
    return this.#idleness.report();
  }

  /** Where it cannot be made durable, or somebody came in meanwhile and it is not `forced`, the machine stays up. */
  async sleep(because: string, forced: boolean): Promise<void> {
    if (Date.now() < this.#awakeUntil) return;
    this.#awakeUntil = Number.POSITIVE_INFINITY;
    const { machine, log, fallAsleep } = this.#options;
    try {
      await machine.workspace?.sync("sleep");
      if (forced || this.idle().idle_ms > 0) fallAsleep(because);
    } catch (error) {
      log(`stays awake, because not all of it is durable: ${(error as Error).message}`);
    } finally {
      this.#awakeUntil = Date.now() + AWAKE_AGAIN_MS;
    }
  }

  stop(): void {
    this.#awakeUntil = Number.POSITIVE_INFINITY;
    this.#idleness.stop();
  }
}
