import { Threads } from "../threads.ts";
import type { calls } from "./blocking-thread.ts";

const threads = new Threads<typeof calls>(new URL("./blocking-thread.ts", import.meta.url), 4);

/** Calls that may wait long for a disk, each on a thread of its own. Described where they are made. */
export const blocking = {
  syncFileSystem: (path: string) => threads.call("syncFileSystem", path),
  cloneFrozen: (image: string, mountedAt: string, to: string) => threads.call("cloneFrozen", image, mountedAt, to),
};
