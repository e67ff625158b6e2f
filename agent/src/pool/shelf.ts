import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import type { Driver, Image, Ready, SandboxSize } from "../sandbox/driver.ts";

/** Pause after a failed start before the next try, `ms`. */
const RETRY_MS = 1000;
/** What has waited this long is replaced: its clock, and what it remembers of names and neighbours, grow old, `ms`. */
const OLD_MS = 30 * 60_000;

/** Ready sandboxes of one kind. */
export class Shelf {
  readonly key: string;
  /** so many are wanted */
  target = 0;
  readonly #wanted: { driver: Driver; image: Image; size: SandboxSize };
  readonly #logger: Logger;
  #items: { ready: Ready; since: number }[] = [];

  constructor(wanted: { driver: Driver; image: Image; size: SandboxSize }, logger: Logger) {
    this.key = Shelf.keyOf(wanted);
    [this.#wanted, this.#logger] = [wanted, logger];
  }

  /** Sandboxes of one key are interchangeable. Where a disk is plugged in later, its size is no part of it. */
  static keyOf({ driver, image, size }: { driver: Driver; image: Image; size: SandboxSize }): string {
    const disk = driver.prepare ? "any" : size.diskGb;
    return [driver.facts.driver, image.digest, size.vcpus, size.memoryMb, disk].join(" ");
  }

  get ready(): number {
    return this.#items.length;
  }

  /** One that is alive. */
  take(): Ready | undefined {
    for (let item = this.#items.shift(); item; item = this.#items.shift()) {
      if (item.ready.isRunning()) return item.ready;
      this.#discard(item.ready);
    }
    return undefined;
  }

  /** Makes one more; waits a while where that fails. */
  async add(closing: AbortSignal): Promise<void> {
    const { driver, image, size } = this.#wanted;
    try {
      const ready = driver.prepare ? await driver.prepare(image, size, closing) : await asReady(driver, image, size);
      this.#items.push({ ready, since: performance.now() });
    } catch (error) {
      if (closing.aborted) return;
      this.#logger.error({ err: error }, "a sandbox for the pool could not be made");
      await delay(RETRY_MS, undefined, { signal: closing }).catch(() => undefined);
    }
  }

  /** Also what has ended by itself. */
  discardOld(): void {
    const before = this.#items;
    this.#items = before.filter(({ ready, since }) => ready.isRunning() && performance.now() - since < OLD_MS);
    for (const item of before) if (!this.#items.includes(item)) this.#discard(item.ready);
  }

  discardSpare(): void {
    for (const { ready } of this.#items.splice(this.target)) this.#discard(ready);
  }

  async clear(): Promise<void> {
    await Promise.allSettled(this.#items.splice(0).map(({ ready }) => ready.discard()));
  }

  #discard(ready: Ready): void {
    ready.discard().catch((error) => this.#logger.warn({ err: error }, "a sandbox of the pool could not be removed"));
  }
}

async function asReady(driver: Driver, image: Image, size: SandboxSize): Promise<Ready> {
  const sandbox = await driver.create(image, size);
  return {
    isRunning: () => sandbox.isRunning(),
    use: async () => sandbox,
    discard: () => sandbox.destroy(),
  };
}
