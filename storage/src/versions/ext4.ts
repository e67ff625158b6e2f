import { closeSync, openSync, readSync } from "node:fs";
import { chown } from "node:fs/promises";
import { run } from "@mags/kit";
import { VersionError } from "./errors.ts";

/** Where the superblock lies, and fields of it (linux/fs/ext4/ext4.h, struct ext4_super_block). */
const SUPERBLOCK = {
  ...{ at: 1024, bytes: 1024 },
  ...{ blocksLow: 4, logBlockSize: 24, magic: 56, state: 58, features: 92, incompatible: 96, blocksHigh: 336 },
};
const MAGIC = 0xef53;
const [ERROR_NOTED, HAS_JOURNAL, NEEDS_RECOVERY] = [2, 4, 4];
/** What Mags's own volumes have, as `dumpe2fs -h` names it, and what growing them adds. */
const FEATURES = new Set(
  (
    "has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink " +
    "extra_isize metadata_csum needs_recovery meta_bg sparse_super2 orphan_file metadata_csum_seed"
  ).split(" "),
);
/** Exit codes of e2fsck, see e2fsck(8). */
const [CLEAN, MENDED] = [0, 1];
/** nobody: owns nothing else */
const USER = 65534;
/** Much more than any volume needs: one made to make its check endless, or large, is a damaged one. */
const [CPU_SECONDS, ADDRESS_SPACE_KB] = [600, 8 * 1024 * 1024];

/** Opens the image as root, and is nobody without any right, and without the daemon's variables, from then on; the exit code is the last line. */
const CONFINED = `ulimit -t ${CPU_SECONDS}; ulimit -v ${ADDRESS_SPACE_KB}
exec 3<>"$1"; shift
env -i PATH="$PATH" setpriv --reuid=${USER} --regid=${USER} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@" /proc/self/fd/3 2>&1
echo "exit $?"`;

/**
 * Whether an ext4 image that is not mounted was left in order: no kernel has noted an error in it, and its journal is empty, in which one
 * notes an error that it could not write anywhere else. And whether it has a journal.
 */
export function stateOf(image: string): { clean: boolean; journaled: boolean } {
  const block = superblockOf(image);
  const error = block.readUInt16LE(SUPERBLOCK.state) & ERROR_NOTED;
  const recovery = block.readUInt32LE(SUPERBLOCK.incompatible) & NEEDS_RECOVERY;
  return {
    clean: error === 0 && recovery === 0,
    journaled: (block.readUInt32LE(SUPERBLOCK.features) & HAS_JOURNAL) !== 0,
  };
}

/** Size of the file system in an ext4 image, `bytes`, which may be less than the file's. Throws VersionError `damaged`. */
export function fileSystemBytes(image: string): number {
  const block = superblockOf(image);
  if (block.readUInt16LE(SUPERBLOCK.magic) !== MAGIC) throw damaged("it has no superblock");
  const blocks = block.readUInt32LE(SUPERBLOCK.blocksHigh) * 2 ** 32 + block.readUInt32LE(SUPERBLOCK.blocksLow);
  return blocks * 1024 * 2 ** block.readUInt32LE(SUPERBLOCK.logBlockSize);
}

function superblockOf(image: string): Buffer {
  const block = Buffer.alloc(SUPERBLOCK.bytes);
  const file = openSync(image, "r");
  try {
    readSync(file, block, 0, block.length, SUPERBLOCK.at);
    return block;
  } finally {
    closeSync(file);
  }
}

/**
 * Replays the journal of an ext4 image that is not mounted and mends what is no damage, such as counters that are written
 * late. Throws VersionError `damaged` for anything that a person would have to decide.
 */
export async function preen(image: string): Promise<void> {
  const { code, said } = await confined(image, "e2fsck", ["-f", "-p"]);
  if (code !== CLEAN && code !== MENDED) throw damaged(said);
}

/** As `preen`, and then mends damage at the cost of what is damaged; answers what that was. Throws where it cannot be mended. */
export async function repair(image: string): Promise<string | undefined> {
  const preened = await confined(image, "e2fsck", ["-f", "-p"]);
  if (preened.code === CLEAN || preened.code === MENDED) return undefined;
  const repaired = await confined(image, "e2fsck", ["-f", "-y"]);
  await prove(image);
  return excerpt(repaired.said);
}

/** Answers what `e2fsck -fn` says of a file system that is whole. Throws VersionError `damaged` for any other. */
export async function prove(image: string): Promise<string> {
  const { code, said } = await confined(image, "e2fsck", ["-f", "-n"]);
  if (code !== CLEAN) throw damaged(said);
  return said;
}

/** Throws VersionError `invalid` for a file system that asks more of the kernel than Mags's own do. */
export async function refuseForeign(image: string): Promise<void> {
  const { code, said } = await confined(image, "dumpe2fs", ["-h"]);
  if (code !== 0) throw damaged(said);
  const features = /^Filesystem features: +(.*)$/m.exec(said)?.[1]?.split(" ") ?? [];
  const foreign = features.filter((feature) => !FEATURES.has(feature));
  if (foreign.length > 0)
    throw new VersionError("invalid", `the image has features of ext4 that Mags does not use: ${foreign}`);
  // The kernel would open any device of this machine that it names.
  if (/^Journal (device|UUID):/m.test(said)) throw new VersionError("invalid", "the journal of the image is elsewhere");
}

/** Gives the file system all of its image's file. */
export async function growFileSystem(image: string): Promise<void> {
  const { code, said } = await confined(image, "resize2fs", []);
  if (code !== 0) throw damaged(said);
}

/**
 * Runs a program over an image that may be of any bytes: with nobody's rights, so that a hole in it opens nothing, and within
 * limits of time and memory.
 */
async function confined(image: string, program: string, args: string[]): Promise<{ code: number; said: string }> {
  await chown(image, USER, USER);
  try {
    const output = await run("sh", ["-c", CONFINED, "sh", image, program, ...args]);
    const [, said = "", code] = /^([\s\S]*?)\n?exit (\d+)$/.exec(output) ?? [];
    return { code: Number(code), said: said.replaceAll("/proc/self/fd/3", "the volume") };
  } finally {
    await chown(image, 0, 0);
  }
}

const damaged = (said: string) =>
  new VersionError("damaged", `its file system is damaged, or none of ext4: ${excerpt(said)}`);

const excerpt = (said: string): string => {
  const lines = said
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("Pass ") && !line.startsWith("e2fsck "));
  return lines.join("; ").slice(0, 500);
};
