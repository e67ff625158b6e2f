import { readFile } from "node:fs/promises";
import { loopOf } from "@mags/kit";

const SECTOR_BYTES = 512;
/** field of /sys/block/<device>/stat, see Documentation/ABI/testing/sysfs-block */
const SECTORS_WRITTEN = 6;

/** Bytes that have reached the disk in the image `file` since it was mounted; 0 when it is not. */
export async function writtenBytes(file: string): Promise<number> {
  const loop = loopOf(file);
  const stat = loop === undefined ? "" : await readFile(`/sys/block/${loop}/stat`, "utf8").catch(() => "");
  return Number(stat.trim().split(/\s+/)[SECTORS_WRITTEN] ?? 0) * SECTOR_BYTES;
}
