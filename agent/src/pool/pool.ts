import type { Logger } from "@mags/kit";
import type { PoolStatus } from "@mags/protocol";
import type { z } from "zod";
import type { Disk, Driver, Image, Sandbox, SandboxSize } from "../sandbox/driver.ts";

export interface PoolOptions {
  driver: Driver;
  image: Image;
  size: SandboxSize;
  /** ready sandboxes kept at least and at most */
  min: number;
  max: number;
  logger: Logger;
}

/** Without a miss for this long, one ready sandbox fewer is kept, `ms`. */
const SHRINK_AFTER_MS = 60_000;
/** Refilling waits this long after a sandbox was taken, so that it does not compete with the start of its script, `ms`. */
const REFILL_AFTER_MS = 60;
/** Pause after a failed start before the next try, `ms`. */
const RETRY_MS = 1000;

/**
 * Ready sandboxes of the usual size, so that a run costs an exec and not a start.
 *
 * The number kept grows by one with each job that found none (up to `max`) and shrinks again when that stops; they are
 * made one after another in the background, so that refilling never takes more than one core from running jobs.
 */
export class Pool {
  readonly #options: PoolOptions;
  readonly #idle: Sandbox[] = [];
  #busy = 0;
  #target: number;
  #filling: Promise<void> | undefined;
  #started = false;
  #closed = false;
  readonly #shrink: NodeJS.Timeout;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#target = options.min;
    this.#shrink = setInterval(() => this.#recycle(), SHRINK_AFTER_MS);
    this.#shrink.unref();
  }

  /** Begins to fill; not before leftovers were reclaimed, or its sandboxes would be taken for some. */
  start(): void {
    this.#started = true;
    this.#fill();
  }

  /**
   * A sandbox of `size` that no one else has; the caller destroys it and then calls `gone`. One with a disk that is there
   * already is made for it: its root lies on that disk from the start, and the whole start takes about 15 ms.
   */
  async take(size: SandboxSize, disk?: Disk): Promise<Sandbox> {
    this.#busy++;
    try {
      if (disk) return await this.#options.driver.create(this.#options.image, size, disk);
      const ready = sameSize(size, this.#options.size) ? this.#idle.shift() : undefined;
      if (ready) {
        setTimeout(() => this.#fill(), REFILL_AFTER_MS);
        return ready;
      }
      if (this.#target < this.#options.max) this.#target++;
      return await this.#options.driver.create(this.#options.image, size);
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
    const idle = this.#idle.length;
    const { min, max } = this.#options;
    return {
      idle_vms: idle,
      busy_vms: this.#busy,
      total_vms: idle + this.#busy,
      min_pool_size: min,
      max_pool_size: max,
    };
  }

  /** Resolves when the pool holds what it should. */
  async filled(): Promise<void> {
    await this.#filling;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#shrink);
    await this.#filling;
    await Promise.allSettled(this.#idle.splice(0).map((sandbox) => sandbox.destroy()));
  }

  #fill(): void {
    if (!this.#started || this.#closed) return;
    this.#filling ??= this.#fillAll().finally(() => {
      this.#filling = undefined;
    });
  }

  async #fillAll(): Promise<void> {
    while (!this.#closed && this.#idle.length < this.#target) {
      try {
        this.#idle.push(await this.#options.driver.create(this.#options.image, this.#options.size));
      } catch (error) {
        this.#options.logger.error({ err: error }, "a sandbox for the pool could not be made");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #recycle(): void {
    if (this.#target > this.#options.min) this.#target--;
    const spare = this.#idle.length > this.#target ? this.#idle.pop() : undefined;
    spare
      ?.destroy()
      .catch((error) => this.#options.logger.warn({ err: error }, "a spare sandbox could not be removed"));
  }
}

const sameSize = (a: SandboxSize, b: SandboxSize): boolean =>
  a.vcpus === b.vcpus && a.memoryMb === b.memoryMb && a.diskGb === b.diskGb;
