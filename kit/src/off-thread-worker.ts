/** The other side of `offThread`: one call at a time. */
import { closeSync, constants, fdatasyncSync, openSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { freeze, reflink, syncFileSystem, thaw, trim } from "./syscalls/files.ts";

export type Answer = { result: unknown } | { error: { message: string; code?: string; name: string } };

export const blocking = { syncFileSystem, trim, cloneFrozen };

/**
 * Makes `to` (new) a reflink copy of `image` while the file system mounted at `mountedAt`, which lies in it, is frozen;
 * answers for how many milliseconds that was. All that is dirty is written before, and no thread has to wake up between
 * freezing and thawing, so that writers stand still for as short as can be. Thaws also when the copy fails.
 */
function cloneFrozen(image: string, mountedAt: string, to: string): number {
  const from = openSync(image, "r");
  const target = openSync(to, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    syncFileSystem(mountedAt);
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
    closeSync(from);
  }
}

parentPort?.on("message", ({ name, args }: { name: keyof typeof blocking; args: unknown[] }) => {
  parentPort?.postMessage(answer(blocking[name] as (...args: unknown[]) => unknown, args));
});

function answer(call: (...args: unknown[]) => unknown, args: unknown[]): Answer {
  try {
    return { result: call(...args) };
  } catch (error) {
    const { message, code, name } = error as NodeJS.ErrnoException;
    return { error: { message, code, name } };
  }
}
