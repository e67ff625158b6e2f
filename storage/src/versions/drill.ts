import { mkdir, rm, rmdir, statfs } from "node:fs/promises";
import { unmount } from "@mags/kit";
import type { VersionContext } from "./context.ts";
import { VersionError } from "./errors.ts";
import { preen, prove } from "./ext4.ts";
import type { Manifest } from "./manifest.ts";
import { mountVolume } from "./mountable.ts";
import { restore } from "./restore.ts";
import { type Verification, verify } from "./verify.ts";

/** What a restore drill found. */
export interface Drill {
  /** whether the version can be restored */
  ok: boolean;
  verification: Verification;
  restoreMs: number;
  /** what `e2fsck -fn` says of the restored volume; undefined when it could not be restored */
  fsck: { clean: boolean; output: string } | undefined;
  /** what the mounted file system holds: its inodes in use, and bytes; undefined when it could not be mounted */
  mounted: { inodes: number; bytes: number } | undefined;
}

const MS_RDONLY = 1;

/**
 * Tries whether a version can be restored: into the volume `scratch` (a path in the store of volumes; nothing is left
 * there), with every hash checked, then checks its file system and mounts it. Damage is told in the report; throws where
 * the drill itself cannot be done, as when the object store cannot be reached.
 */
export async function drill(manifest: Manifest, scratch: string, ctx: VersionContext): Promise<Drill> {
  const started = performance.now();
  const passed = () => performance.now() - started;
  try {
    const { fetchedBytes, fetchedChunks } = await restore(manifest, scratch, undefined, ctx);
    const restoreMs = passed();
    const fsck = await checkFileSystem(scratch);
    const mounted = fsck.clean ? await look(scratch) : undefined;
    const verification = { chunks: fetchedChunks, bytes: fetchedBytes, bad: [] };
    return { ok: mounted !== undefined, verification, restoreMs, fsck, mounted };
  } catch (error) {
    if (!(error instanceof VersionError)) throw error;
    // It stopped at the first damage; all of it is wanted.
    const verification = await verify(manifest, ctx);
    return { ok: false, verification, restoreMs: passed(), fsck: undefined, mounted: undefined };
  } finally {
    await rm(scratch, { force: true });
  }
}

/** In a volume that was not frozen there is something to preen, which is no damage. */
async function checkFileSystem(image: string): Promise<{ clean: boolean; output: string }> {
  try {
    await preen(image);
    return { clean: true, output: await prove(image) };
  } catch (error) {
    if (!(error instanceof VersionError)) throw error;
    return { clean: false, output: error.message };
  }
}

async function look(image: string): Promise<{ inodes: number; bytes: number } | undefined> {
  const target = `${image}.mnt`;
  await mkdir(target);
  try {
    mountVolume(image, target, { readOnly: true, fresh: true, flags: MS_RDONLY });
    try {
      const { files, ffree, blocks, bfree, bsize } = await statfs(target);
      return { inodes: files - ffree, bytes: (blocks - bfree) * bsize };
    } finally {
      unmount(target);
    }
  } finally {
    await rmdir(target);
  }
}
