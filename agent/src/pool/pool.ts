import type { Logger } from "@mags/kit";
import type { PoolStatus } from "@mags/protocol";
import type { z } from "zod";
import { type Disk, type Ready, type Sandbox, SandboxDied } from "../sandbox/driver.ts";
import { Shelf, type Wanted } from "./shelf.ts";

export interface PoolOptions {
  /** driver, image and size of which sandboxes are ready from the start */
  usual: Wanted;
  /** ready sandboxes kept at least, and at most of all kinds together */
  min: number;
  max: number;
  logger: Logger;
}

/** How often it is looked what is no longer wanted, `ms`. */
const RECYCLE_MS = 60_000;
/** Refilling waits this long after a sandbox was taken, so that it does not compete with the start of its script, `ms`. */
const REFILL_AFTER_MS = 60;
/** So many sandboxes may die one after another while they are handed out: a disk that kills each must not empty the pool. */
const TRIES = 3;

/**
 * Ready sandboxes, so that a run costs an exec and not a start: a shelf for each kind that was asked for of late.
 *
 * A shelf's number grows by one with each job that found none, and shrinks again when that stops; where all of them would be more
 * than `max`, the one that was longest not asked gives way. They are made one after another in the background, so that
 * refilling never takes more than one core from running jobs.
 */
export class Pool {
  readonly #options: PoolOptions;
  /** the one that was asked last is the last */
  readonly #shelves = new Map<string, Shelf>();
  readonly #usual: string;
  #busy = 0;
  #filling: Promise<void> | undefined;
  #started = false;
  readonly #closing = new AbortController();
  readonly #recycler: NodeJS.Timeout;

  constructor(options: PoolOptions) {
    this.#options = options;
    const usual = this.#shelf(Shelf.ofWhole(options.usual, options.logger));
    usual.target = options.min;
    this.#usual = usual.key;
    this.#recycler = setInterval(() => this.#recycle(), RECYCLE_MS);
    this.#recycler.unref();
  }

  /** Begins to fill; not before leftovers were reclaimed, or its sandboxes would be taken for some. */
  start(): void {
    this.#started = true;
    this.#fill();
  }

  /** A sandbox that no one else has; the caller destroys it and then calls `gone`. */
  async take(wanted: Wanted, disk?: Disk): Promise<Sandbox> {
    this.#busy++;
    try {
      return await this.#handOut(wanted, disk);
    } catch (error) {
      this.#busy--;
      throw error;
    }
  }

  /** Counts an adopted sandbox as in use. */
  adopted(): void {
    this.#busy++;
  }

  gone(): void {
    this.#busy--;
    this.#fill();
  }

  status(): z.infer<typeof PoolStatus> {
    const idle = this.#sum((shelf) => shelf.ready);
    const { min, max } = this.#options;
    return {
      idle_vms: idle,
      busy_vms: this.#busy,
      total_vms: idle + this.#busy,
      min_pool_size: min,
      max_pool_size: max,
    };
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearInterval(this.#recycler);
    await this.#filling;
    await Promise.all([...this.#shelves.values()].map((shelf) => shelf.clear()));
  }

  async #handOut(wanted: Wanted, disk: Disk | undefined): Promise<Sandbox> {
    const { driver, image, size } = wanted;
    for (let left = TRIES - 1; ; left--) {
      const ready = this.#takeReady(wanted, disk !== undefined);
      setTimeout(() => this.#fill(), REFILL_AFTER_MS);
      try {
        return ready ? await ready.use(size, disk) : await driver.create(image, size, disk);
      } catch (error) {
        if (!(error instanceof SandboxDied) || left === 0) throw error;
        this.#options.logger.warn({ err: error }, "a sandbox died while it was handed out; another one is taken");
      }
    }
  }

  /** One with a disk of its own serves no job that has one; one without serves both. */
  #takeReady(wanted: Wanted, hasDisk: boolean): Ready | undefined {
    const { logger } = this.#options;
    const diskless = Shelf.ofDiskless(wanted, logger);
    const shelf = hasDisk ? diskless && this.#shelf(diskless) : this.#shelf(Shelf.ofWhole(wanted, logger));
    if (!shelf) return undefined;
    const ready = shelf.take();
    if (!ready) this.#grow(shelf);
    return ready ?? (diskless && this.#shelves.get(diskless.key)?.take());
  }

  /** The shelf of the same kind that is there, or this one; it was asked last now. */
  #shelf(like: Shelf): Shelf {
    const shelf = this.#shelves.get(like.key) ?? like;
    this.#shelves.delete(shelf.key);
    this.#shelves.set(shelf.key, shelf);
    return shelf;
  }

  /** One more of these from now on, at the cost of those that were longest not asked for. */
  #grow(shelf: Shelf): void {
    shelf.target++;
    for (const other of this.#shelves.values()) {
      const least = this.#leastOf(other);
      while (this.#sum(({ target }) => target) > this.#options.max && other.target > least) other.target--;
    }
    this.#clearSpare();
  }

  /** The usual kind is always there. */
  #leastOf(shelf: Shelf): number {
    return shelf.key === this.#usual ? this.#options.min : 0;
  }

  #sum(count: (shelf: Shelf) => number): number {
    return [...this.#shelves.values()].reduce((sum, shelf) => sum + count(shelf), 0);
  }

  #fill(): void {
    if (!this.#started || this.#closing.signal.aborted) return;
    this.#filling ??= this.#fillAll().finally(() => {
      this.#filling = undefined;
    });
  }

  async #fillAll(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const shelf = [...this.#shelves.values()].findLast(({ ready, target }) => ready < target);
      if (!shelf) return;
      await shelf.add(this.#closing.signal);
      // Fewer may be wanted by now.
      shelf.discardSpare();
    }
  }

  #recycle(): void {
    for (const [key, shelf] of this.#shelves) {
      shelf.target = Math.max(this.#leastOf(shelf), shelf.target - 1);
      shelf.discardOld();
      shelf.discardSpare();
      if (shelf.target === 0 && shelf.empty) this.#shelves.delete(key);
    }
    this.#fill();
  }

  #clearSpare(): void {
    for (const shelf of this.#shelves.values()) shelf.discardSpare();
  }
}
