import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import pg from "pg";

const CHANNEL = "mags_events";

/**
 * Says "look again" to whoever waits: `work` when a job may be claimed, `job:<id>` when that job changed. Within this
 * process at once, to other servers through NOTIFY. An event may be lost or doubled; waiters poll as the floor.
 */
export class Events {
  /** Marks our own notifications, so that we do not wake twice. */
  readonly source = randomBytes(6).toString("hex");
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  readonly #stop = new AbortController();

  emit(topic: string): void {
    this.#emitter.emit(topic);
  }

  /** What to hand to `pg_notify('mags_events', …)` in the statement that makes the change. */
  payload(topic: string): string {
    return `${this.source} ${topic}`;
  }

  /** Calls `action` at each event for as long as this process lives. */
  on(topic: string, action: () => void): void {
    this.#emitter.on(topic, action);
  }

  /** Subscribe before reading the row, then wait: a change in between is not missed. */
  subscribe(topic: string): Subscription {
    return new Subscription(this.#emitter, topic);
  }

  /** Listens for the other servers' notifications until `close`. */
  async listen(url: string, logger: Logger): Promise<void> {
    const first = Promise.withResolvers<void>();
    void this.#listenForever(url, logger, first.resolve);
    await first.promise;
  }

  close(): void {
    this.#stop.abort();
    for (const topic of this.#emitter.eventNames()) this.#emitter.emit(topic);
  }

  async #listenForever(url: string, logger: Logger, ready: () => void): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#listenOnce(url, ready);
      } catch (err) {
        logger.warn({ err: (err as Error).message }, "the notification connection broke; connecting again");
        ready();
      }
      await sleep(100, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  async #listenOnce(url: string, ready: () => void): Promise<void> {
    const client = new pg.Client({ connectionString: url, keepAlive: true, application_name: "mags-events" });
    const ended = new Promise<void>((resolve, reject) => {
      // Not once: a second error without a listener would end the process.
      client.on("error", reject);
      client.once("end", resolve);
      this.#stop.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    ended.catch(() => undefined);
    try {
      await client.connect();
      client.on("notification", ({ payload = "" }) => {
        const [source, topic = ""] = payload.split(" ");
        if (source !== this.source) this.#emitter.emit(topic);
      });
      await client.query(`LISTEN ${CHANNEL}`);
      ready();
      // What happened while nobody listened is unknown: everybody looks again.
      for (const topic of this.#emitter.eventNames()) this.#emitter.emit(topic);
      await ended;
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

/** Tells of the events of one topic from its making on. */
export class Subscription implements Disposable {
  #pending = false;
  #wake: (() => void) | undefined;
  readonly #emitter: EventEmitter;
  readonly #topic: string;
  readonly #listener = () => {
    this.#pending = true;
    this.#wake?.();
  };

  constructor(emitter: EventEmitter, topic: string) {
    this.#emitter = emitter;
    this.#topic = topic;
    emitter.on(topic, this.#listener);
  }

  /** Resolves at the next event, at one since the last call, after `ms`, or when `signal` aborts. */
  async next(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#pending && !signal?.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, Math.max(0, ms));
      const abort = () => resolve();
      signal?.addEventListener("abort", abort);
      await promise;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#wake = undefined;
    }
    this.#pending = false;
  }

  [Symbol.dispose](): void {
    this.#emitter.off(this.#topic, this.#listener);
  }
}
