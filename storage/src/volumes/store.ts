import { closeSync, constants, openSync } from "node:fs";
import { access, mkdir, mkdtemp, open, rename, rm, stat, statfs, truncate } from "node:fs/promises";
import { join } from "node:path";
import { growLoop, type Logger, mountImage, reflink, run, unmount } from "@mags/kit";
import { trustLike } from "./trust.ts";

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
/** First size of a store of our own, `bytes`: sparse, so it costs the host what is in it. */
const FIRST_BYTES = 8 * GiB;
/** It grows when less than this share is free, by half of its size. */
const GROW_BELOW = 0.3;
const GROW_BY = 1.5;
/** Space of the host's file system that volumes leave free: this share, and at most so much, `bytes` */
const RESERVE_SHARE = 0.05;
const RESERVE_MOST_BYTES = 2 * GiB;
const LOOK_MS = 2000;

export interface ReflinkStoreOptions {
  /** directory for the store's files; made if missing */
  dir: string;
  logger: Logger;
  /** first size of a store of our own, `bytes`; 8 GiB by default, XFS needs at least 300 MiB */
  firstBytes?: number;
}

/** Space in a store, `bytes`. `free` is what may still be written before new volumes are refused. */
export interface StoreSpace {
  total: number;
  free: number;
}

/** Raised when the store is too full to begin something new; nothing of it was begun. */
export class StoreFull extends Error {
  override readonly name = "StoreFull";
}

/**
 * A directory whose files can share blocks (reflinks), so that copying a volume of any size costs a millisecond. That is
 * the given directory where its file system can do it, else an XFS in a sparse file there, mounted in this process's mount
 * namespace.
 *
 * A sparse file promises space that the host may not have, and a write that finds none is an I/O error in the middle of a
 * file system. So `room` is asked before something new begins, and says no while there is still a reserve.
 */
export class ReflinkStore {
  /** where the files are */
  readonly path: string;
  readonly #dir: string;
  readonly #image: string | undefined;
  readonly #logger: Logger;
  #watch: NodeJS.Timeout | undefined;
  #growing: Promise<void> = Promise.resolve();

  private constructor(path: string, options: ReflinkStoreOptions, image?: string) {
    this.path = path;
    this.#dir = options.dir;
    this.#image = image;
    this.#logger = options.logger;
  }

  /** Opens the store, makes it the first time. Throws RunError or SyscallError when neither way works. */
  static async open(options: ReflinkStoreOptions): Promise<ReflinkStore> {
    const { dir } = options;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const image = join(dir, "volumes.xfs");
    const path = join(dir, "volumes");
    const native = !(await exists(image)) && (await isNative(dir, path));
    if (!native && !(await exists(image))) await makeImage(image, options.firstBytes ?? FIRST_BYTES);
    await mkdir(path, { recursive: true, mode: 0o700 });
    if (native) return new ReflinkStore(path, options);
    // Freed blocks go back to the host.
    mountImage("xfs", image, path, { data: "discard", direct: true });
    const store = new ReflinkStore(path, options, image);
    await store.grow();
    store.#watch = setInterval(() => void store.grow(), LOOK_MS);
    store.#watch.unref();
    return store;
  }

  /** Makes `to` a copy of `from` (both in this store) that shares its blocks. `to` must not exist. */
  clone(from: string, to: string): void {
    const source = openSync(from, "r");
    try {
      const target = openSync(to, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
      try {
        if (!reflink(source, target)) throw new Error(`${this.path} has lost its reflinks`);
      } finally {
        closeSync(target);
      }
    } finally {
      closeSync(source);
    }
    trustLike(from, to);
  }

  async space(): Promise<StoreSpace> {
    const host = await spaceOf(this.#dir);
    const left = Math.max(0, host.free - Math.min(host.total * RESERVE_SHARE, RESERVE_MOST_BYTES));
    if (this.#image === undefined) return { total: host.total, free: left };
    const used = (await stat(this.#image)).blocks * 512;
    // It grows into what the host has.
    return { total: used + left, free: left };
  }

  /** Throws StoreFull unless `bytes` more can be written. */
  async room(bytes: number): Promise<void> {
    const { free } = await this.space();
    if (free >= bytes) return;
    throw new StoreFull(
      `the node's disk is almost full: ${Math.floor(free / MiB)} MiB of ${this.#dir} may still be used; ` +
        "delete workspaces or give the data directory more space",
    );
  }

  /** Gives the store of our own more space when it is getting full. */
  grow(): Promise<void> {
    const image = this.#image;
    if (image === undefined) return Promise.resolve();
    this.#growing = this.#growing
      .then(() => this.#growNow(image))
      .catch((error) => this.#logger.error({ err: error }, "the store of volumes could not grow"));
    return this.#growing;
  }

  async close(): Promise<void> {
    clearInterval(this.#watch);
    await this.#growing;
    if (this.#image !== undefined) unmount(this.path);
  }

  async #growNow(image: string): Promise<void> {
    const { total, free } = await spaceOf(this.path);
    if (free >= total * GROW_BELOW) return;
    const size = (await stat(image)).size;
    const wanted = Math.ceil((size * GROW_BY) / MiB) * MiB;
    await truncate(image, wanted);
    growLoop(image);
    await run("xfs_growfs", [this.path]);
    this.#logger.info({ from: size, to: wanted }, "the store of volumes has grown");
  }
}

async function spaceOf(path: string): Promise<StoreSpace> {
  const { bsize, blocks, bavail } = await statfs(path);
  return { total: blocks * bsize, free: bavail * bsize };
}

/** Under another name until it is whole. */
async function makeImage(path: string, bytes: number): Promise<void> {
  const fresh = `${path}.new`;
  await rm(fresh, { force: true });
  const file = await open(fresh, "wx", 0o600);
  await file.truncate(bytes);
  await file.close();
  await run("mkfs.xfs", ["-q", "-m", "reflink=1", fresh]);
  await rename(fresh, path);
}

/** A full disk has no room to try it: then the directory is what it was taken for before. */
async function isNative(dir: string, path: string): Promise<boolean> {
  try {
    return await hasReflinks(dir);
  } catch (error) {
    if (await exists(path)) return true;
    throw error;
  }
}

async function hasReflinks(dir: string): Promise<boolean> {
  const probe = await mkdtemp(join(dir, "probe-"));
  try {
    const [from, to] = [await open(join(probe, "a"), "w+"), await open(join(probe, "b"), "w+")];
    try {
      await from.writeFile(Buffer.alloc(64 * 1024, 1));
      return reflink(from.fd, to.fd);
    } finally {
      await Promise.all([from.close(), to.close()]);
    }
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
