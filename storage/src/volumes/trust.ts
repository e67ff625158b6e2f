import { getXattr, removeXattr, setXattr } from "@mags/kit";

/** An attribute that no process but the host's root can set. */
const NAME = "trusted.mags.trusted";

/**
 * Whether nothing but mkfs and the kernels of hosts has written a volume since it was made or checked on this node. Where that is
 * not known it is not so: a virtual machine has its volume as a disk of raw blocks, and what comes from the object store may
 * have been written by one.
 */
export const isTrusted = (volume: string): boolean => getXattr(bytes(volume), NAME) === "1";

export function trust(volume: string): void {
  setXattr(bytes(volume), NAME, "1");
}

/** To be called before anybody else may write to it. */
export function distrust(volume: string): void {
  if (isTrusted(volume)) removeXattr(bytes(volume), NAME);
}

/** A copy is what its source is. */
export function trustLike(source: string, copy: string): void {
  if (isTrusted(source)) trust(copy);
}

const bytes = (path: string) => Buffer.from(path);
