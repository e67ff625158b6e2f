import { randomUUID } from "node:crypto";
import { access, constants, link, lstat, mkdir, open, readdir, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { directoryError, errno } from "./directory-errors.ts";
import { probe } from "./probe.ts";
import { checkKey, checkPrefix, checkSignal, ObjectError, type ObjectStore } from "./store.ts";

// Ends the name of every object's file. No key has it, so that the keys `a` and `a/b` become a file and a directory.
const MARK = "=";
const LEFTOVER_MS = 3_600_000;
const PLACE_ATTEMPTS = 20;

/**
 * Objects as files: `<path>/objects/<key>=`. A file is written below `<path>/incoming`, synced and then moved, so that
 * a crash leaves whole objects only. Any number of processes may use the directory at a time.
 */
export class DirectoryObjectStore implements ObjectStore {
  readonly description: string;
  readonly #path: string;
  readonly #objects: string;
  readonly #incoming: string;
  #prepared: Promise<void> | undefined;
  #sweptAt = 0;

  constructor(path: string) {
    this.description = `directory ${path}`;
    this.#path = path;
    this.#objects = join(path, "objects");
    this.#incoming = join(path, "incoming");
  }

  async get(key: string, { signal }: { signal?: AbortSignal } = {}): Promise<Buffer> {
    checkKey(key);
    checkSignal(signal);
    try {
      return await readFile(this.#file(key), { signal });
    } catch (error) {
      if (errno(error) === "ENOENT") {
        await this.#mustBeThere();
        throw new ObjectError("not_found", `there is no object ${key} in ${this.description}`);
      }
      throw this.#error(`reading ${key}`, error);
    }
  }

  async put(
    key: string,
    body: Uint8Array,
    { ifAbsent = false, signal }: { ifAbsent?: boolean; signal?: AbortSignal } = {},
  ): Promise<"stored" | "present"> {
    checkKey(key);
    checkSignal(signal);
    await this.#prepare();
    const temporary = join(this.#incoming, randomUUID());
    try {
      await writeDurably(temporary, body, signal);
      checkSignal(signal);
      const answer = await this.#place(temporary, this.#file(key), ifAbsent);
      // Also for "present": whoever stored it may not have come to this yet.
      await this.#syncUp(dirname(this.#file(key)));
      return answer;
    } catch (error) {
      throw this.#error(`writing ${key}`, error);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async has(key: string): Promise<boolean> {
    checkKey(key);
    try {
      await access(this.#file(key), constants.F_OK);
      return true;
    } catch (error) {
      if (errno(error) !== "ENOENT") throw this.#error(`looking for ${key}`, error);
      await this.#mustBeThere();
      return false;
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) checkKey(key);
    await this.#mustBeThere();
    const failed: ObjectError[] = [];
    for (const key of keys) {
      try {
        await rm(this.#file(key), { force: true });
        await this.#removeEmpty(dirname(this.#file(key)));
      } catch (error) {
        failed.push(this.#error(`deleting ${key}`, error));
      }
    }
    if (failed[0]) throw failed[0];
  }

  async *list(prefix: string): AsyncGenerator<{ key: string; bytes: number; modified: Date }> {
    checkPrefix(prefix);
    await this.#mustBeThere();
    try {
      yield* this.#walk(prefix.slice(0, prefix.lastIndexOf("/") + 1), prefix);
    } catch (error) {
      throw this.#error(`listing ${prefix}`, error);
    }
  }

  async check(): Promise<void> {
    await this.#prepare();
    await probe(this);
  }

  async close(): Promise<void> {}

  #file(key: string): string {
    return join(this.#objects, key + MARK);
  }

  #error(action: string, error: unknown): ObjectError {
    return directoryError(`${action} in ${this.description}`, error);
  }

  /** Tells a store without the object from a disk that is not mounted, which must never look like an empty store. */
  async #mustBeThere(): Promise<void> {
    try {
      await access(this.#objects, constants.F_OK);
    } catch (cause) {
      if (errno(cause) !== "ENOENT") throw this.#error("looking", cause);
      throw new ObjectError("unreachable", `${this.#objects} does not exist`, {
        hint: "Is its disk mounted? A new store is made by the start of magsd.",
        cause,
      });
    }
  }

  /** Makes the directories, once in this process: one that disappears later is an error, not a new empty store. */
  async #prepare(): Promise<void> {
    this.#prepared ??= this.#make();
    await this.#prepared.catch((error: unknown) => {
      this.#prepared = undefined;
      throw this.#error("making it", error);
    });
    if (Date.now() - this.#sweptAt > LEFTOVER_MS) await this.#sweep();
  }

  async #make(): Promise<void> {
    await mkdir(this.#path, { recursive: true, mode: 0o700 });
    for (const directory of [this.#objects, this.#incoming]) await makeDirectory(directory);
    await syncDirectory(this.#path);
    await syncDirectory(dirname(this.#path));
  }

  /** Removes what crashed writers have left. */
  async #sweep(): Promise<void> {
    this.#sweptAt = Date.now();
    const oldest = Date.now() - LEFTOVER_MS;
    for (const name of await readdir(this.#incoming).catch(() => [])) {
      const path = join(this.#incoming, name);
      const stats = await lstat(path).catch(() => undefined);
      if (stats && stats.mtimeMs < oldest) await rm(path, { force: true });
    }
  }

  async #place(temporary: string, file: string, ifAbsent: boolean): Promise<"stored" | "present"> {
    for (let attempt = 1; ; attempt++) {
      await this.#makeBelow(dirname(file));
      try {
        await (ifAbsent ? link : rename)(temporary, file);
        return "stored";
      } catch (error) {
        if (ifAbsent && errno(error) === "EEXIST") return "present";
        // A deletion has just removed the directory because it was empty.
        if (errno(error) !== "ENOENT" || attempt === PLACE_ATTEMPTS) throw error;
      }
    }
  }

  /** Makes the directories between the store's own and `directory`; never the store's own again. */
  async #makeBelow(directory: string): Promise<void> {
    if (directory === this.#objects) return;
    try {
      await makeDirectory(directory);
    } catch (error) {
      if (errno(error) !== "ENOENT" || dirname(directory) === this.#objects) throw error;
      await this.#makeBelow(dirname(directory));
      await makeDirectory(directory).catch((again: unknown) => {
        // A deletion was quicker; `#place` sees that and begins anew.
        if (errno(again) !== "ENOENT") throw again;
      });
    }
  }

  /** Makes the names from `directory` up to the store's own durable; costs microseconds where they are already. */
  async #syncUp(directory: string): Promise<void> {
    for (let each = directory; ; each = dirname(each)) {
      // Gone when the object was deleted just now.
      await syncDirectory(each).catch((error: unknown) => {
        if (errno(error) !== "ENOENT" || each === this.#objects) throw error;
      });
      if (each === this.#objects) return;
    }
  }

  async #removeEmpty(directory: string): Promise<void> {
    for (let each = directory; each !== this.#objects; each = dirname(each)) {
      const removed = await rmdir(each).then(
        () => true,
        () => false,
      );
      if (!removed) return;
    }
  }

  /** Objects below `directory` ("" or ending in a slash) whose keys start with `prefix`, in order. */
  async *#walk(directory: string, prefix: string): AsyncGenerator<{ key: string; bytes: number; modified: Date }> {
    const entries = await readdir(join(this.#objects, directory), { withFileTypes: true }).catch((error: unknown) => {
      if (errno(error) === "ENOENT") return [];
      throw error;
    });
    const keys = entries.flatMap((entry) => {
      if (entry.isDirectory()) return [`${directory}${entry.name}/`];
      return entry.name.endsWith(MARK) ? [`${directory}${entry.name.slice(0, -MARK.length)}`] : [];
    });
    // A directory counts with its slash: `a-b` comes before `a/b`.
    for (const key of keys.sort(byBytes)) {
      if (key.endsWith("/")) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* this.#walk(key, prefix);
      } else if (key.startsWith(prefix)) {
        const stats = await lstat(this.#file(key)).catch(() => undefined);
        if (stats) yield { key, bytes: stats.size, modified: stats.mtime };
      }
    }
  }
}

function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function writeDurably(path: string, body: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(body, { signal });
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes one directory unless it is there. */
async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
    if (errno(error) !== "EEXIST") throw error;
  });
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
