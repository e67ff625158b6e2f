import { open } from "node:fs/promises";
import { RunError, run } from "@mags/kit";

/** Where the superblock lies, and fields of it (linux/fs/ext4/ext4.h, struct ext4_super_block). */
const SUPERBLOCK = { at: 1024, bytes: 1024, blocksLow: 4, logBlockSize: 24, magic: 56, blocksHigh: 336 };
const MAGIC = 0xef53;

/** Size of the file system in an ext4 image, `bytes`, which may be less than the file's. Throws Error when it is none. */
export async function fileSystemBytes(image: string): Promise<number> {
  const file = await open(image, "r");
  try {
    const block = Buffer.alloc(SUPERBLOCK.bytes);
    await file.read(block, 0, block.length, SUPERBLOCK.at);
    if (block.readUInt16LE(SUPERBLOCK.magic) !== MAGIC) throw new Error(`${image} holds no ext4 file system`);
    const blocks = block.readUInt32LE(SUPERBLOCK.blocksHigh) * 2 ** 32 + block.readUInt32LE(SUPERBLOCK.blocksLow);
    return blocks * 1024 * 2 ** block.readUInt32LE(SUPERBLOCK.logBlockSize);
  } finally {
    await file.close();
  }
}

/**
 * Replays the journal of an ext4 image that is not mounted and mends what is no damage, such as counters that are written
 * late. Throws RunError for anything that a person would have to decide.
 */
export async function preen(image: string): Promise<void> {
  try {
    await run("e2fsck", ["-f", "-p", image]);
  } catch (error) {
    // 1: something was mended, and all is well now.
    if (!(error instanceof RunError && error.exitCode === 1)) throw error;
  }
}
