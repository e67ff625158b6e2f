import type { Logger } from "@mags/kit";
import type { ReportTraffic } from "@mags/protocol";
import type { Sandbox } from "../sandbox/driver.ts";

/** How often the server is told, `ms`. */
const INTERVAL_MS = 10_000;
/** Most machines in one report. */
const MOST = 1000;

type Sent = ReportTraffic["machines"][number];

export interface TrafficOptions {
  jobs(): Iterable<{ id: string; machine: { sandbox: Sandbox } | undefined }>;
  tell(machines: Sent[]): Promise<unknown>;
  logger: Logger;
}

/**
 * Tells the server what machines have sent: now and again, and when they end. Counts grow with a machine's life, so what could
 * not be told is told with the next.
 */
export class TrafficReports {
  readonly #options: TrafficOptions;
  readonly #told = new WeakMap<Sandbox, number>();
  /** not told yet, by machine */
  readonly #pending = new Map<string, Sent>();
  readonly #timer: NodeJS.Timeout;
  #telling: Promise<void> = Promise.resolve();

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.#round(), INTERVAL_MS);
    this.#timer.unref();
  }

  /** The last word on a machine whose processes have ended. Never throws; does not wait for the server. */
  async last(job: string, sandbox: Sandbox): Promise<void> {
    await this.#count(job, sandbox);
    void this.#tell();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#tell();
  }

  async #round(): Promise<void> {
    await Promise.all([...this.#options.jobs()].map(({ id, machine }) => machine && this.#count(id, machine.sandbox)));
    await this.#tell();
  }

  async #count(job: string, sandbox: Sandbox): Promise<void> {
    try {
      const sent_bytes = await sandbox.sentBytes();
      if (sent_bytes === (this.#told.get(sandbox) ?? 0)) return;
      this.#told.set(sandbox, sent_bytes);
      this.#pending.set(sandbox.id, { job, machine: sandbox.id, sent_bytes });
    } catch (err) {
      this.#options.logger.warn({ err, job }, "what a machine has sent could not be read");
    }
  }

  #tell(): Promise<void> {
    this.#telling = this.#telling.then(async () => {
      const machines = [...this.#pending.values()].slice(0, MOST);
      if (machines.length === 0) return;
      try {
        await this.#options.tell(machines);
        for (const sent of machines) if (this.#pending.get(sent.machine) === sent) this.#pending.delete(sent.machine);
      } catch (err) {
        this.#options.logger.warn({ err }, "telling the server what machines have sent failed; it is tried again");
      }
    });
    return this.#telling;
  }
}
