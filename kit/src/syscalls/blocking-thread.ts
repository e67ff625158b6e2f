/** The threads of `blocking`. */
import { closeSync, constants, fdatasyncSync, openSync } from "node:fs";
import { serveCalls } from "../threads.ts";
import { freeze, reflink, syncFileSystem, thaw, trim } from "./files.ts";

export const calls = { syncFileSystem, cloneFrozen };
serveCalls(calls);

/** Free space is given back in runs of so many bytes and more; small ones would cost an extent each. */
const TRIM_BYTES = 64 * 1024;

/**
 * Makes `to` (new) a reflink copy of `image` while the file system mounted at `mountedAt`, which lies in it, is frozen;
 * answers for how many milliseconds that was. Before that all that is dirty is written, and space of deleted files becomes
 * holes of the image, as far as the file system can (ext4 remembers what it has trimmed). No thread has to wake up between
 * freezing and thawing, so that writers stand still for as short as can be. Thaws also when the copy fails.
 */
function cloneFrozen(image: string, mountedAt: string, to: string): number {
  const from = openSync(image, "r");
  try {
    const target = openSync(to, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      syncFileSystem(mountedAt);
      trim(mountedAt, TRIM_BYTES);
      fdatasyncSync(from);
      const started = performance.now();
      freeze(mountedAt);
      try {
        if (!reflink(from, target)) throw new Error(`the file system of ${image} has no reflinks`);
      } finally {
        thaw(mountedAt);
      }
      return performance.now() - started;
    } finally {
      closeSync(target);
    }
  } finally {
    closeSync(from);
  }
}
