import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Cleanup, unmount } from "@mags/kit";
import { makeMountable, mountVolume } from "../versions/mountable.ts";
import type { ReflinkStore } from "../volumes/index.ts";

/** No program of a volume runs. */
const MS_NOEXEC = 8;
/** Names of directories for exports and imports in a store; what a killed process has left may be deleted. */
export const SCRATCH = "scratch-";

/** Gives `work` a directory of its own in the store, and removes it with all that is mounted there. */
export async function inScratch<T>(store: ReflinkStore, work: (scratch: Scratch) => Promise<T>): Promise<T> {
  const cleanup = new Cleanup();
  try {
    const dir = await mkdtemp(join(store.path, SCRATCH));
    cleanup.add("directory", () => rm(dir, { recursive: true, force: true }));
    const mount = async (image: string) => {
      const target = join(dir, "mnt");
      await mkdir(target);
      await makeMountable(image);
      mountVolume(image, target, { flags: MS_NOEXEC, fresh: true });
      cleanup.add("mount", () => unmount(target));
      return target;
    };
    return await work({ dir, mount });
  } finally {
    await cleanup.run();
  }
}

export interface Scratch {
  dir: string;
  /** mounts an image that only we have, until the end; answers where */
  mount(image: string): Promise<string>;
}
