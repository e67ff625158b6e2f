import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Logger, makeSshKey, type SshKey } from "@mags/kit";
import type { ReflinkStore } from "@mags/storage";
import { z } from "zod";
import type { Image, SandboxSize } from "../../sandbox/driver.ts";
import { memoryBytes } from "./machine.ts";

/** Saved machines that are kept; one is mostly holes, with some 100 MB in it. */
const MOST = 8;

/** How long machines of a kind boot when one could not be saved, or what was saved is broken, until it is tried again, `ms`. */
const AGAIN_MS = 300_000;

/** Their directory in the store of volumes, and what the name of one that is not whole begins with. */
export const SAVED_MACHINES = "saved-machines";
export const MAKING = "making-";

const SavedFile = z.object({ privateKey: z.string(), publicKey: z.string() });

/** A machine that was saved right after it had booted, before it was anybody's. */
export interface Saved {
  /** all of its memory; a machine gets a copy of the file */
  memory: string;
  /** the state of its devices */
  state: string;
  /** lets the host in until the machine has got an identity */
  key: SshKey;
  /** a machine has come up from it: where another does not, that has another reason */
  proven?: boolean;
}

/** Boots a machine whose memory is the file `memory`, and saves the rest of it to the file `state`. */
export type Boot = (how: { memory: string; state: string; key: SshKey }) => Promise<void>;

/**
 * Saved machines, by what they are made of. A start from one takes a tenth of a boot. They stay for the next agent process;
 * what makes two machines differ is done after the start, see `identify`.
 */
export class SavedMachines {
  readonly #store: ReflinkStore;
  readonly #dir: string;
  readonly #logger: Logger;
  readonly #againMs: number;
  readonly #made = new Map<string, Promise<Saved | undefined>>();

  constructor(store: ReflinkStore, logger: Logger, againMs = AGAIN_MS) {
    this.#store = store;
    this.#againMs = againMs;
    this.#dir = join(store.path, SAVED_MACHINES);
    this.#logger = logger;
  }

  /** `made` says what else a saved machine depends on. Undefined where there is none for now: machines boot, then. */
  get(made: string, image: Image, size: SandboxSize, boot: Boot): Promise<Saved | undefined> {
    const facts = [made, image.digest, size.vcpus, size.memoryMb].join("\n");
    const name = createHash("sha256").update(facts).digest("hex").slice(0, 24);
    let saved = this.#made.get(name);
    if (!saved) {
      saved = this.#find(name, size, boot).catch((error) => {
        this.#logger.warn({ err: error }, "a machine could not be saved; those of its kind boot for some minutes");
        this.#bootFor(name);
        return undefined;
      });
      this.#made.set(name, saved);
    }
    return saved;
  }

  /** No machine comes up from it, so none is started from it again. */
  async drop(saved: Saved): Promise<void> {
    const dir = dirname(saved.memory);
    const name = basename(dir);
    if ((await this.#made.get(name)) !== saved) return;
    this.#made.set(name, Promise.resolve(undefined));
    this.#bootFor(name);
    await rm(dir, { recursive: true, force: true });
  }

  #bootFor(name: string): void {
    setTimeout(() => this.#made.delete(name), this.#againMs).unref();
  }

  /** A copy of its memory for one machine, which may write to it as it likes. */
  copyMemory(saved: Saved, to: string): void {
    this.#store.clone(saved.memory, to);
  }

  async #find(name: string, size: SandboxSize, boot: Boot): Promise<Saved> {
    const dir = join(this.#dir, name);
    const known = await readSaved(dir);
    if (known) return known;
    await rm(dir, { recursive: true, force: true });
    await this.#makeRoom();
    const draft = join(this.#dir, `${MAKING}${name}`);
    await rm(draft, { recursive: true, force: true });
    await mkdir(draft, { recursive: true, mode: 0o700 });
    try {
      await this.#make(draft, size, boot);
      await rename(draft, dir);
      await flush(this.#dir);
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    return (await readSaved(dir)) as Saved;
  }

  async #make(draft: string, size: SandboxSize, boot: Boot): Promise<void> {
    const { memory, state } = pathsIn(draft);
    await writeFile(memory, "", { mode: 0o600 });
    await truncate(memory, memoryBytes(size));
    const key = makeSshKey("machine");
    await boot({ memory, state, key });
    const described = savedIn(draft);
    await writeFile(described, JSON.stringify(key), { mode: 0o600 });
    // Before it has its name: a host that loses its power is left with all of it or none.
    for (const path of [memory, state, described, draft]) await flush(path);
  }

  async #makeRoom(): Promise<void> {
    const names = await readdir(this.#dir).catch(() => []);
    const unused = names.filter((name) => !this.#made.has(name));
    // Machines that were started from one have copies of their own.
    for (const name of unused.slice(0, Math.max(0, names.length - MOST + 1)))
      await rm(join(this.#dir, name), { recursive: true, force: true });
  }
}

const pathsIn = (dir: string) => ({ memory: join(dir, "memory"), state: join(dir, "state") });

const savedIn = (dir: string) => join(dir, "saved.json");

/** Undefined when there is none, or none that can be read. */
async function readSaved(dir: string): Promise<Saved | undefined> {
  try {
    return { ...pathsIn(dir), key: SavedFile.parse(JSON.parse(await readFile(savedIn(dir), "utf8"))) };
  } catch {
    return undefined;
  }
}

async function flush(path: string): Promise<void> {
  const file = await open(path);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
