import type { Activity } from "../access/activity.ts";
import type { Sandbox, Usage } from "../sandbox/driver.ts";

/** From how much on the processes of a machine that nobody visits count as work; 0 switches a measure off. */
export interface BusyLimits {
  /** share of one CPU, `%` */
  cpuPercent: number;
  /** written to its disk, `KiB/s` */
  writtenKbS: number;
}

/** How often a machine is looked at, `ms`. */
const LOOK_MS = 2000;
/** Time over which its work is averaged, `ms`: what a machine does by itself now and then is no work. */
const SPAN_MS = 10_000;

/**
 * How long a persistent job's machine has not been used, and what keeps it awake: connections into it, jobs of others that run
 * in it, and work of its own processes. The last is what other systems do not see: a build that runs in the background goes on.
 */
export class Idleness {
  readonly #activity: Activity;
  readonly #guests: () => number;
  readonly #sandbox: Sandbox;
  readonly #limits: BusyLimits;
  readonly #timer: NodeJS.Timeout;
  #before: { at: number; usage: Usage } | undefined;
  #busyAt: number;
  #work = "it was started";

  constructor(options: {
    activity: Activity;
    guests: () => number;
    sandbox: Sandbox;
    limits: BusyLimits;
    /** called when the machine has ended by itself */
    gone: () => void;
  }) {
    [this.#activity, this.#guests, this.#sandbox] = [options.activity, options.guests, options.sandbox];
    this.#limits = options.limits;
    this.#busyAt = Date.now();
    this.#timer = setInterval(() => {
      if (this.#sandbox.isRunning()) void this.#look();
      else options.gone();
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** `idle_ms` is 0 while something keeps it awake. */
  report(now = Date.now()): { idle_ms: number; because: string } {
    const { open, lastUsed } = this.#activity;
    if (open > 0) return { idle_ms: 0, because: open === 1 ? "a connection is open" : `${open} connections are open` };
    const guests = this.#guests();
    if (guests > 0) return { idle_ms: 0, because: `${guests} of the jobs on its workspace run in it` };
    const since = Math.max(lastUsed, this.#busyAt);
    const why = this.#busyAt >= lastUsed ? this.#work : "somebody was in it";
    return { idle_ms: now - since, because: `${why}; unused since ${new Date(since).toISOString()}` };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const usage = await this.#sandbox.stats().catch(() => undefined);
    const at = Date.now();
    if (!usage) return;
    this.#before ??= { at, usage };
    const ms = at - this.#before.at;
    if (ms < SPAN_MS) return;
    const work = this.#workSince(this.#before.usage, usage, ms);
    if (work) [this.#work, this.#busyAt] = [work, at];
    this.#before = { at, usage };
  }

  #workSince(before: Usage, now: Usage, ms: number): string | undefined {
    const percent = ((now.cpu_ns - before.cpu_ns) / 1e6 / ms) * 100;
    const { cpuPercent, writtenKbS } = this.#limits;
    if (cpuPercent > 0 && percent >= cpuPercent) return `its processes used ${Math.round(percent)} % of a CPU`;
    const written = (now.written_bytes - before.written_bytes) / 1024 / (ms / 1000);
    if (writtenKbS > 0 && written >= writtenKbS) return `its processes wrote ${Math.round(written)} KiB/s`;
    return undefined;
  }
}
