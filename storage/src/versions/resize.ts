import { rename, rm, stat, truncate } from "node:fs/promises";
import { growLoop, RunError, run } from "@mags/kit";
import type { ReflinkStore } from "../volumes/index.ts";
import { VersionError } from "./errors.ts";
import { PARTIAL } from "./restore.ts";

/**
 * Gives the volume `path` (ext4, in `store`) a size of `diskGb` GiB. `mountedAt` says that it is mounted, where its users
 * go on meanwhile; else it is done on a copy, so that a process that is killed has changed nothing. A volume does not
 * shrink: VersionError `invalid`. May be repeated.
 */
export async function resize(
  store: ReflinkStore,
  path: string,
  diskGb: number,
  mountedAt: string | undefined,
): Promise<void> {
  const wanted = Math.ceil(diskGb * 1024) * 1024 ** 2;
  const { size } = await stat(path);
  if (wanted < size) {
    throw new VersionError("invalid", `a volume of ${size / 1024 ** 3} GiB cannot shrink to ${diskGb} GiB`);
  }
  if (mountedAt !== undefined) {
    if (wanted > size) await truncate(path, wanted);
    // Also where the file was large enough: a killed process may not have come further.
    await run("resize2fs", [growLoop(path)]);
    return;
  }
  const partial = path + PARTIAL;
  await rm(partial, { force: true });
  try {
    store.clone(path, partial);
    await truncate(partial, wanted);
    await check(partial);
    await run("resize2fs", [partial]);
    await rename(partial, path);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Replays the journal and mends what `e2fsck -p` mends by itself; throws RunError for more than that. */
async function check(path: string): Promise<void> {
  try {
    await run("e2fsck", ["-f", "-p", path]);
  } catch (error) {
    // 1: something was mended, and all is well now.
    if (!(error instanceof RunError && error.exitCode === 1)) throw error;
  }
}
