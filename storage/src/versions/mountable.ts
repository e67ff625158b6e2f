import { lstatSync } from "node:fs";
import { join } from "node:path";
import { loopOf, MS_NODEV, mountImage, unmount } from "@mags/kit";
import { isTrusted, trust } from "../volumes/trust.ts";
import { VersionError } from "./errors.ts";
import { refuseForeign, repair, stateOf } from "./ext4.ts";

const MS_NOSUID = 2;
/** Over what the superblock says, which may be that an error shall panic the kernel. */
const OPTIONS = "errors=remount-ro";
/** For data as for the file system's own: what the disk did not take is not passed over. */
const JOURNALED = `${OPTIONS},data_err=abort`;

/**
 * Makes a volume one that the host's kernel may mount: where somebody else than such kernels may have written it, or one of them has
 * not left it in order, its features are looked at and e2fsck checks it, and mends what it can. Answers what was damaged, undefined when nothing was. Throws VersionError
 * when it cannot be mended.
 */
export async function makeMountable(volume: string): Promise<string | undefined> {
  // One that is mounted has been made mountable by an earlier process.
  if ((isTrusted(volume) && stateOf(volume).clean) || loopOf(volume)) return undefined;
  const mended = await check(volume);
  trust(volume);
  return mended;
}

/** For one that another kernel will mount: as `makeMountable`, but only where it was not left in order. */
export async function mend(volume: string): Promise<string | undefined> {
  return stateOf(volume).clean || loopOf(volume) ? undefined : check(volume);
}

async function check(volume: string): Promise<string | undefined> {
  await refuseForeign(volume);
  return repair(volume);
}

/**
 * Mounts a volume that is mountable, at `target`: no devices in it are devices and no programs of it change their user, except through
 * an overlay's own mount. Throws VersionError `invalid` where it is no volume of Mags: who follows a link for `upper` is on the host.
 */
export function mountVolume(
  volume: string,
  target: string,
  options: { flags?: number; readOnly?: boolean; fresh?: boolean } = {},
): void {
  const { flags = 0, ...rest } = options;
  // What is to be kept goes to the disk at once; what is thrown away need not come there at all.
  const { journaled } = stateOf(volume);
  const data = journaled ? JOURNALED : OPTIONS;
  mountImage("ext4", volume, target, { ...rest, flags: flags | MS_NOSUID | MS_NODEV, data, direct: journaled });
  for (const name of ["upper", "work"]) {
    if (lstatSync(join(target, name), { throwIfNoEntry: false })?.isDirectory()) continue;
    unmount(target);
    throw new VersionError("invalid", "it is no volume of Mags: it has not the directories upper and work");
  }
}
