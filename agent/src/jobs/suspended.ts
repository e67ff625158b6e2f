import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Logger, writeFlushed } from "@mags/kit";
import type { Assignment, VersionRef } from "@mags/protocol";
import { PARTIAL, type ReflinkStore } from "@mags/storage";
import { z } from "zod";
import type { Sandbox } from "../sandbox/driver.ts";

const KeptFile = z.object({
  /** how often the job had been woken when it fell asleep: with the next wake this goes on, and with no later one */
  wakes: z.number().int(),
  /** of its workspace, with the files of its disk */
  version: z.uuid(),
  /** it has been taken up: what is on the disk of its workspace since is its own */
  taken: z.boolean(),
});
type KeptFile = z.infer<typeof KeptFile>;

/** File of each with what is known of it. */
const KEPT = "kept.json";
/** How the name of one that is not good for a wake yet begins. */
const DRAFT = "making-";
const MiB = 1024 ** 2;

const wakesOf = ({ wake }: Pick<Assignment, "wake">): number => wake?.count ?? 0;

/**
 * Machines that sleep with their memory, by job, in the store of volumes: what went on in each, and a copy of its disk of the same
 * moment. One is good for the next wake alone, as long as its workspace is what it was.
 */
export class SuspendedMachines {
  readonly #store: ReflinkStore;
  readonly #dir: string;
  readonly #logger: Logger;
  readonly #kept = new Map<string, KeptFile>();

  /** Removes what an earlier process had only begun. */
  constructor(store: ReflinkStore, logger: Logger) {
    [this.#store, this.#logger] = [store, logger];
    this.#dir = join(store.path, "suspended");
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#dir)) {
      const kept = name.startsWith(DRAFT) ? undefined : read(join(this.#dir, name));
      if (kept) this.#kept.set(name, kept);
      else rmSync(join(this.#dir, name), { recursive: true, force: true });
    }
  }

  /** Puts a sandbox away with all that goes on in it; `live` is its disk. Throws where that cannot be done. It is not good for a wake before `seal`. */
  async put({ id, spec }: Assignment, sandbox: Sandbox, live: string): Promise<void> {
    this.remove(id);
    if (!sandbox.suspend) throw new Error("this machine's runtime cannot do that");
    await this.#store.room(2 * spec.memory_mb * MiB);
    const draft = this.#draftOf(id);
    mkdirSync(draft, { mode: 0o700 });
    try {
      await sandbox.suspend(draft);
      const disk = join(draft, "disk");
      this.#store.clone(live, disk);
      flush(disk);
    } catch (error) {
      this.remove(id);
      throw error;
    }
  }

  /** The disk of what was put away is durable now, as this version. */
  seal(assignment: Assignment, version: VersionRef | null | undefined): void {
    const { id } = assignment;
    try {
      if (!version) throw new Error("its workspace has no version");
      const kept = { wakes: wakesOf(assignment), version: version.id, taken: false };
      writeFlushed(join(this.#draftOf(id), KEPT), kept);
      flush(this.#draftOf(id));
      renameSync(this.#draftOf(id), join(this.#dir, id));
      this.#kept.set(id, kept);
    } catch (err) {
      this.#logger.warn({ err, job: id }, "the saved memory of a machine could not be kept");
      this.remove(id);
    }
  }

  /**
   * The directory of what was put away of a job that is awake now, with its disk in the place of `live`, which is `untouched` where
   * nobody has written to it since it was made from the workspace's version. Throws, with the reason, where that is of no use.
   */
  async take(assignment: Assignment, live: string, untouched: boolean): Promise<string> {
    const { id, volume } = assignment;
    const kept = this.#kept.get(id);
    if (!kept) throw new Error("this node has nothing of them");
    if (kept.wakes + 1 !== wakesOf(assignment)) throw new Error("it has been awake since");
    const same = kept.version === volume?.version?.id && (untouched || kept.taken);
    if (!same) throw new Error("its workspace has changed since");
    const dir = join(this.#dir, id);
    if (statSync(join(dir, "disk")).size !== statSync(live).size) throw new Error("its disk has another size by now");
    const taken = { ...kept, taken: true };
    writeFlushed(join(dir, KEPT), taken);
    this.#kept.set(id, taken);
    await this.restoreDisk(id, live);
    return dir;
  }

  /** Makes the disk `live` what it was when the machine fell asleep. */
  async restoreDisk(id: string, live: string): Promise<void> {
    const partial = live + PARTIAL;
    await rm(partial, { force: true });
    this.#store.clone(join(this.#dir, id, "disk"), partial);
    renameSync(partial, live);
  }

  remove(id: string): void {
    this.#kept.delete(id);
    for (const path of [join(this.#dir, id), this.#draftOf(id)]) rmSync(path, { recursive: true, force: true });
  }

  /** All that are here. */
  list(): { id: string; wakes: number }[] {
    return [...this.#kept].map(([id, { wakes }]) => ({ id, wakes }));
  }

  /** Removes those of jobs that will not wake here any more. */
  forget(ids: string[]): void {
    for (const id of ids) {
      if (!this.#kept.has(id)) continue;
      this.#logger.info({ job: id }, "the saved memory of a machine is of no use any more");
      this.remove(id);
    }
  }

  #draftOf(id: string): string {
    return join(this.#dir, DRAFT + id);
  }
}

function read(dir: string): KeptFile | undefined {
  try {
    return KeptFile.parse(JSON.parse(readFileSync(join(dir, KEPT), "utf8")));
  } catch {
    return undefined;
  }
}

function flush(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
