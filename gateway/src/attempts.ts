const WINDOW_MS = 60_000;
const CLIENTS = 10_000;

/** Counts failed attempts per client address, so that nobody guesses secrets at speed. A window is a minute long. */
export class Attempts {
  readonly #limit: number;
  readonly #failed = new Map<string, { count: number; until: number }>();

  /** `limit` failures are let through in a window. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Seconds until the client may try again; 0 when it may now. */
  waitFor(client: string): number {
    const entry = this.#failed.get(client);
    if (!entry || entry.count < this.#limit) return 0;
    return Math.max(0, Math.ceil((entry.until - Date.now()) / 1000));
  }

  fail(client: string): void {
    const now = Date.now();
    const entry = this.#failed.get(client);
    if (entry && entry.until > now) entry.count++;
    else {
      if (this.#failed.size >= CLIENTS) this.#forgetOld(now);
      this.#failed.set(client, { count: 1, until: now + WINDOW_MS });
    }
  }

  #forgetOld(now: number): void {
    for (const [client, { until }] of this.#failed) if (until <= now) this.#failed.delete(client);
    if (this.#failed.size >= CLIENTS) this.#failed.clear();
  }
}
