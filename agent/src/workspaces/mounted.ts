import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Cleanup, mount, unmount } from "@mags/kit";
import { makeMountable, mountVolume, type ReflinkStore } from "@mags/storage";
import type { MountedVersion } from "./diff.ts";

/** Mounts a copy of the volume `image` at the answer; `scratch` is a new path in the store. `cleanup` removes both. */
export async function mountCopy(
  store: ReflinkStore,
  image: string,
  scratch: string,
  cleanup: Cleanup,
): Promise<string> {
  const [copy, target] = [`${scratch}.ext4`, `${scratch}.mnt`];
  cleanup.add("scratch", () => rm(copy, { force: true }));
  store.clone(image, copy);
  await mkdir(target);
  cleanup.add("mount point", () => rm(target, { recursive: true, force: true }));
  await makeMountable(copy);
  mountVolume(copy, target, { fresh: true });
  cleanup.add("mount", () => unmount(target));
  return target;
}

/** Mounts a copy of the volume `image` and, over it, the files as a machine sees them, to be read. `scratch` and `cleanup` as above. */
export async function mountVersion(
  store: ReflinkStore,
  image: string,
  rootfs: string,
  scratch: string,
  cleanup: Cleanup,
): Promise<MountedVersion> {
  const upper = join(await mountCopy(store, image, scratch, cleanup), "upper");
  const root = `${scratch}.root`;
  await mkdir(root);
  cleanup.add("mount point", () => rm(root, { recursive: true, force: true }));
  // Without an upper directory an overlay is read-only.
  mount("overlay", "version", root, `lowerdir=${upper}:${rootfs}`);
  cleanup.add("files", () => unmount(root));
  return { root, upper };
}
