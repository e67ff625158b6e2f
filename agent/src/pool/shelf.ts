import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import type { Driver, Image, Ready, SandboxSize } from "../sandbox/driver.ts";

/** Pause after a failed start before the next try, `ms`. */
const RETRY_MS = 1000;
/** What has waited this long is replaced: its clock, and what it remembers of names and neighbours, grow old, `ms`. */
const OLD_MS = 30 * 60_000;

/** What a sandbox shall be. */
export interface Wanted {
  driver: Driver;
  image: Image;
  size: SandboxSize;
}

/** Ready sandboxes of one kind. */
export class Shelf {
  readonly key: string;
  /** so many are wanted */
  target = 0;
  readonly #make: (closing: AbortSignal) => Promise<Ready>;
  readonly #logger: Logger;
  #items: { ready: Ready; since: number }[] = [];
  /** what is being made or taken away */
  readonly #works = new Set<Promise<void>>();

  private constructor(key: string, make: (closing: AbortSignal) => Promise<Ready>, logger: Logger) {
    [this.key, this.#make, this.#logger] = [key, make, logger];
  }

  /** Of whole sandboxes, with an empty disk of their own. */
  static ofWhole(wanted: Wanted, logger: Logger): Shelf {
    return new Shelf(keyOf(wanted, wanted.size.diskGb), (closing) => asReady(wanted, closing), logger);
  }

  /** Of such that are given their disk when it is known; undefined where the driver has none. */
  static ofDiskless(wanted: Wanted, logger: Logger): Shelf | undefined {
    const { driver, image, size } = wanted;
    const prepare = driver.prepare?.bind(driver);
    return prepare && new Shelf(keyOf(wanted, "diskless"), (closing) => prepare(image, size, closing), logger);
  }

  get ready(): number {
    return this.#items.length;
  }

  /** Whether it has nothing, and nothing comes or goes. */
  get empty(): boolean {
    return this.#items.length + this.#works.size === 0;
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
  add(closing: AbortSignal): Promise<void> {
    return this.#track(this.#add(closing));
  }

  async #add(closing: AbortSignal): Promise<void> {
    try {
      this.#items.push({ ready: await this.#make(closing), since: performance.now() });
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

  /** When nothing is added any more; resolves when all is gone. */
  async clear(): Promise<void> {
    this.target = 0;
    this.discardSpare();
    await Promise.all(this.#works);
  }

  #discard(ready: Ready): void {
    const failed = (err: unknown) => this.#logger.warn({ err }, "a sandbox of the pool could not be removed");
    void this.#track(ready.discard().catch(failed));
  }

  #track(work: Promise<void>): Promise<void> {
    this.#works.add(work);
    return work.finally(() => this.#works.delete(work));
  }
}

/** Sandboxes of one key are interchangeable. */
const keyOf = ({ driver, image, size }: Wanted, disk: number | "diskless"): string =>
  [driver.facts.driver, image.digest, size.vcpus, size.memoryMb, disk].join(" ");

async function asReady({ driver, image, size }: Wanted, closing: AbortSignal): Promise<Ready> {
  const prepared = await driver.prepare?.(image, size, closing);
  const sandbox = prepared ? await prepared.use(size) : await driver.create(image, size);
  await sandbox.warmUp?.().catch(async (error) => {
    await sandbox.destroy();
    throw error;
  });
  return {
    isRunning: () => sandbox.isRunning(),
    use: async () => sandbox,
    discard: () => sandbox.destroy(),
  };
}
