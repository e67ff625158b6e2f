import { rename, rm, stat, truncate } from "node:fs/promises";
import { growLoop, RunError, run } from "@mags/kit";
import type { ReflinkStore } from "../volumes/index.ts";
import { VersionError } from "./errors.ts";
import { fileSystemBytes, growFileSystem, preen } from "./ext4.ts";
import { PARTIAL } from "./restore.ts";

/**
 * Gives the volume `path` (ext4, in `store`) a size of `diskGb` GiB. `mountedAt` says that it is mounted: its users go on,
 * and see it grow. A kernel that does not let this process do that (it takes CAP_SYS_RESOURCE, which containers often
 * lack) is answered with "at next mount": call it again then, before mounting. Without a mount the work is done on a
 * copy, so that a process that is killed has changed nothing. A volume does not shrink: VersionError `invalid`. May be
 * repeated.
 */
export async function resize(
  store: ReflinkStore,
  path: string,
  diskGb: number,
  mountedAt: string | undefined,
): Promise<"grown" | "at next mount"> {
  const wanted = Math.ceil(diskGb * 1024) * 1024 ** 2;
  const { size } = await stat(path);
  if (wanted < size) {
    throw new VersionError("invalid", `a volume of ${size / 1024 ** 3} GiB cannot shrink to ${diskGb} GiB`);
  }
  if (mountedAt === undefined) await growCopy(store, path, wanted);
  else {
    if (wanted > size) await truncate(path, wanted);
    // Also where the file was large enough: a killed process may not have come further.
    if (!(await growMounted(growLoop(path)))) return "at next mount";
  }
  return "grown";
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
  if (wanted - (await fileSystemBytes(path)) > REST_BYTES) await growCopy(store, path, wanted);
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
