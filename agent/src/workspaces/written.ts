import { readFileSync, statSync } from "node:fs";

const SECTOR_BYTES = 512;

/** Bytes that have been written to the device of the file system mounted at `path`, since it was set up. */
export function bytesWritten(path: string): number {
  try {
    const { dev } = statSync(path);
    const fields = readFileSync(`/sys/dev/block/${major(dev)}:${minor(dev)}/stat`, "utf8")
      .trim()
      .split(/\s+/);
    // Documentation/block/stat.rst: the seventh is the number of sectors written.
    return Number(fields[6]) * SECTOR_BYTES;
  } catch {
    return 0;
  }
}

const major = (dev: number) => (dev >>> 8) & 0xfff;
const minor = (dev: number) => (dev & 0xff) | ((dev >>> 12) & 0xfff00);
