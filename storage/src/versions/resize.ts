import { rename, rm, stat, truncate } from "node:fs/promises";
import { growLoop, RunError, run } from "@mags/kit";
import type { ReflinkStore } from "../volumes/index.ts";
import { VersionError } from "./errors.ts";
import { fileSystemBytes, growFileSystem, preen } from "./ext4.ts";
import { PARTIAL } from "./restore.ts";

/** Who has a volume as a disk and mounted it out of our sight. */
export interface Owner {
  /** Gives disk and file system so many bytes. */
  grow?(bytes: number): Promise<void>;
}

/**
 * Gives the volume `path` (ext4, in `store`) a size of `diskGb` GiB. `used` says where it is mounted, or who has it: its users go
 * on, and see it grow. Where that cannot be done now (a kernel wants CAP_SYS_RESOURCE for it, which containers often lack; a
 * virtual machine may be broken) the answer is why: call it again before it is used the next time. Where nobody uses it the work is
 * done on a copy, so that a process that is killed has changed nothing. A volume does not shrink: VersionError `invalid`. May be
 * repeated.
 */
export async function resize(
  store: ReflinkStore,
  path: string,
  diskGb: number,
  used: string | Owner | undefined,
): Promise<"grown" | string> {
  const wanted = Math.ceil(diskGb * 1024) * 1024 ** 2;
  const { size } = await stat(path);
  if (wanted < size) {
    throw new VersionError("invalid", `a volume of ${size / 1024 ** 3} GiB cannot shrink to ${diskGb} GiB`);
  }
  if (used === undefined) {
    await growCopy(store, path, wanted);
    return "grown";
  }
  if (typeof used !== "string") return growElsewhere(used, wanted);
  if (wanted > size) await truncate(path, wanted);
  // Also where the file was large enough: a killed process may not have come further.
  return (await growMounted(growLoop(path))) ? "grown" : "this node may not grow what is mounted";
}

/** The end of a file may be too little for a group of blocks of its own. */
const REST_BYTES = 8 * 1024 ** 2;

/**
 * Gives a volume that is not mounted at least `diskGb` GiB, and its file system all of the volume, which a growth while it
 * was mounted may have left for now. Does nothing where that is so already.
 */
export async function fit(store: ReflinkStore, path: string, diskGb: number): Promise<void> {
  const { size } = await stat(path);
  const wanted = Math.max(size, Math.ceil(diskGb * 1024) * 1024 ** 2);
  if (wanted - fileSystemBytes(path) > REST_BYTES) await growCopy(store, path, wanted);
}

async function growElsewhere(owner: Owner, bytes: number): Promise<string> {
  try {
    await owner.grow?.(bytes);
    return "grown";
  } catch (error) {
    return (error as Error).message;
  }
}

async function growMounted(device: string): Promise<boolean> {
  try {
    await run("resize2fs", [device]);
    return true;
  } catch (error) {
    if (error instanceof RunError && error.stderr.includes("Permission denied")) return false;
    throw error;
  }
}

async function growCopy(store: ReflinkStore, path: string, bytes: number): Promise<void> {
  const partial = path + PARTIAL;
  await rm(partial, { force: true });
  try {
    store.clone(path, partial);
    await truncate(partial, bytes);
    await preen(partial);
    await growFileSystem(partial);
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
}
