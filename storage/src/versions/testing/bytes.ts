import { randomFillSync } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";

export const randomBytesOf = (length: number): Buffer => randomFillSync(Buffer.alloc(length));

/** Writes into a file that is there. */
export function writeAt(path: string, position: number, bytes: Buffer): void {
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, bytes, 0, bytes.length, position);
  } finally {
    closeSync(fd);
  }
}
