import { rm } from "node:fs/promises";
import { blocking, thaw, unmount } from "@mags/kit";
import type { ReflinkStore } from "../volumes/index.ts";
import { trustLike } from "../volumes/trust.ts";
import { repair } from "./ext4.ts";
import { mountVolume } from "./mountable.ts";
import { changedRanges } from "./ranges.ts";

/** The block of an ext4 image that freezing and thawing write by themselves, `bytes`. */
const SUPERBLOCK_BYTES = 4096;

/**
 * Makes `to` (new, in `store`) a copy of the volume `live` at one point in time. Where the volume is mounted, `mountedAt`
 * (any directory of that mount) is frozen for that moment; a process that is killed within it leaves it frozen, and the
 * next one has to call `thawLeftover`. Without a mount the caller sees to it that nobody writes. Where the kernel has made
 * it read-only because of an error, the copy is of what has reached it, mended, and `damaged` says so.
 */
export async function snapshot(
  store: ReflinkStore,
  live: string,
  mountedAt: string | undefined,
  to: string,
): Promise<{ frozenMs: number; damaged?: string }> {
  if (mountedAt === undefined) {
    store.clone(live, to);
    return { frozenMs: 0 };
  }
  try {
    const frozenMs = await blocking.cloneFrozen(live, mountedAt, to);
    trustLike(live, to);
    return { frozenMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") await rm(to, { force: true });
    if (!isReadOnly(error)) throw error;
    store.clone(live, to);
    const mended = await repair(to);
    return { frozenMs: 0, damaged: `${(error as Error).message}${mended ? `; mended: ${mended}` : ""}` };
  }
}

const isReadOnly = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === "EROFS";

/** Thaws what a killed process has left frozen; false when nothing was. */
export function thawLeftover(mountedAt: string): boolean {
  return thaw(mountedAt);
}

/**
 * As `thawLeftover`, for a volume of which no mount can be reached: a frozen file system outlives its mounts and holds
 * its loop device. `scratch` is an empty directory.
 */
export function thawLeftoverImage(image: string, scratch: string): boolean {
  mountVolume(image, scratch);
  try {
    return thaw(scratch);
  } finally {
    unmount(scratch);
  }
}

/**
 * Whether a mounted ext4 volume may differ from its last snapshot `parent`, after what is dirty was written; without a mount here
 * the caller has done that. That the
 * superblock alone differs is no difference: each freezing writes it, and any change to a file writes elsewhere too.
 */
export async function hasChanged(live: string, mountedAt: string | undefined, parent: string): Promise<boolean> {
  try {
    if (mountedAt !== undefined) await blocking.syncFileSystem(mountedAt);
  } catch (error) {
    if (isReadOnly(error)) return true;
    throw error;
  }
  const ranges = await changedRanges(parent, live);
  return ranges.some(({ end }) => end > SUPERBLOCK_BYTES);
}
