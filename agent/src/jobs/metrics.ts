import type { JobMetrics, MetricSample } from "@mags/protocol";
import type { Sandbox, Usage } from "../sandbox/driver.ts";

/** How often machines are looked at, `s`. */
const INTERVAL_SECONDS = 5;
/** Samples kept of each: half an hour. */
const MOST_SAMPLES = 360;

interface Measured {
  id: string;
  sandbox: Sandbox | undefined;
  activity: { open: number };
}

interface Series {
  sandbox: Sandbox;
  before: { at: number; usage: Usage };
  samples: MetricSample[];
}

/** What the machines on this node have used lately. It is for people to look at: it is gone with the machine, or the agent. */
export class Metrics {
  readonly #jobs: () => Iterable<Measured>;
  readonly #series = new Map<string, Series>();
  readonly #timer: NodeJS.Timeout;

  constructor(jobs: () => Iterable<Measured>) {
    this.#jobs = jobs;
    this.#timer = setInterval(() => void this.#look(), INTERVAL_SECONDS * 1000);
    this.#timer.unref();
  }

  of({ id, sandbox, activity }: Measured): JobMetrics | undefined {
    if (!sandbox) return undefined;
    const series = this.#series.get(id);
    return {
      interval_seconds: INTERVAL_SECONDS,
      vcpus: sandbox.size.vcpus,
      memory_mb: sandbox.size.memoryMb,
      open_connections: activity.open,
      samples: series?.sandbox === sandbox ? series.samples : [],
    };
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const jobs = [...this.#jobs()];
    const here = new Set(jobs.map(({ id }) => id));
    for (const id of this.#series.keys()) if (!here.has(id)) this.#series.delete(id);
    await Promise.all(jobs.map(({ id, sandbox }) => sandbox && this.#measure(id, sandbox)));
  }

  async #measure(id: string, sandbox: Sandbox): Promise<void> {
    const usage = await sandbox.stats().catch(() => undefined);
    const at = Date.now();
    if (!usage) return;
    const known = this.#series.get(id);
    // A woken job has another machine, whose counters begin anew.
    if (known?.sandbox !== sandbox) {
      this.#series.set(id, { sandbox, before: { at, usage }, samples: [] });
      return;
    }
    const { before, samples } = known;
    samples.push({
      at: new Date(at).toISOString(),
      cpus: Math.max(0, usage.cpu_ns - before.usage.cpu_ns) / 1e6 / Math.max(1, at - before.at),
      memory_bytes: Math.round(usage.memory_bytes),
      written_bytes: Math.max(0, Math.round(usage.written_bytes - before.usage.written_bytes)),
    });
    if (samples.length > MOST_SAMPLES) samples.shift();
    known.before = { at, usage };
  }
}
