import { accessSync, constants } from "node:fs";
import { mkdir, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { bindIdmapped, type Cleanup, MS_NOATIME, MS_NODEV, mountAs, unmount, unmountAside } from "@mags/kit";
import { mountVolume } from "@mags/storage";
import { userNamespace } from "./userns.ts";

/** Where the file system of a sandbox's disk is mounted. */
export const diskAt = (dir: string): string => join(dir, "disk");

/**
 * Mounts a sandbox's root at `<dir>/rootfs`: the image below, the volume above, both with the ids of the range that
 * starts at `base`, so that image and volume hold natural ids on disk. The mounts live in the agent's mount namespace:
 * they go with the agent, while the container keeps its own hold on them.
 */
export async function mountRoot(
  dir: string,
  imageRootfs: string,
  volume: { file: string; kept: boolean },
  base: number,
  cleanup: Cleanup,
): Promise<string> {
  const at = (name: string) => join(dir, name);
  for (const name of ["lower", "raw", "disk", "rootfs"]) await mkdir(at(name), { recursive: true, mode: 0o711 });
  cleanup.add("root mounts", () => unmountRoot(dir));
  const userns = await userNamespace(base);
  mountVolume(volume.file, at("raw"), { flags: MS_NOATIME, fresh: !volume.kept });
  bindIdmapped(at("raw"), at("disk"), userns);
  unmount(at("raw"));
  bindIdmapped(imageRootfs, at("lower"), userns);
  const layers = `lowerdir=${at("lower")},upperdir=${at("disk")}/upper,workdir=${at("disk")}/work`;
  mountAs(base, "overlay", "overlay", at("rootfs"), layers, MS_NODEV);
  refuseReadOnly(at("rootfs"));
  return at("rootfs");
}

/** A script in it would run to an end, and nothing that it wrote would be there. */
function refuseReadOnly(path: string): void {
  try {
    accessSync(path, constants.W_OK);
  } catch (cause) {
    throw new Error("the disk's file system is damaged, as the kernel has found only now; the next start mends it", {
      cause,
    });
  }
}

/** Mounts the disk of a sandbox whose mounts went with an earlier process; the container has it mounted still. */
export async function mountDiskAgain(dir: string, volume: string): Promise<void> {
  await mkdir(diskAt(dir), { recursive: true, mode: 0o711 });
  unmount(diskAt(dir));
  mountVolume(volume, diskAt(dir), { flags: MS_NOATIME });
}

/** Takes the mounts of `mountRoot` away, as far as they are there. */
export async function unmountRoot(dir: string): Promise<void> {
  for (const name of ["rootfs", "lower", "disk", "raw"]) {
    await unmountAside(join(dir, name));
    await rmdir(join(dir, name)).catch(() => undefined);
  }
}
