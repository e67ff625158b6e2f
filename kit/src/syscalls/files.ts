/**
 * Calls on files and file systems that Node lacks: extents, shared extents, holes, extended attributes, freezing, trimming.
 * Sources: linux/fs.h (FICLONE, FIFREEZE, FITHAW, FITRIM), linux/fiemap.h, fallocate(2), syncfs(2), lgetxattr(2).
 */
import { closeSync, constants, openSync } from "node:fs";
import { check, libc, SyscallError } from "./libc.ts";

const ioctlNumber = libc.func("int ioctl(int fd, unsigned long request, long argument)");
const ioctlStruct = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const fallocate = libc.func("int fallocate(int fd, int mode, int64_t offset, int64_t length)");
const syncfs = libc.func("int syncfs(int fd)");
const lgetxattr = libc.func("int64_t lgetxattr(void *path, str name, void *value, size_t size)");

const FICLONE = 0x40049409;
const FIFREEZE = 0xc0045877;
const FITHAW = 0xc0045878;
const FITRIM = 0xc0185879;
const FS_IOC_FIEMAP = 0xc020660b;
const FIEMAP_FLAG_SYNC = 1;
const FIEMAP_EXTENT_LAST = 1;
/** sizeof(struct fiemap) without its extents, and sizeof(struct fiemap_extent) */
const MAP_BYTES = 32;
const EXTENT_BYTES = 56;
const EXTENTS_PER_CALL = 2048;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
/** linux/limits.h */
const XATTR_SIZE_MAX = 65_536;

/** A piece of a file and where it lies on the device, `bytes`; `flags` are FIEMAP_EXTENT_… of linux/fiemap.h. */
export interface Extent {
  logical: number;
  physical: number;
  length: number;
  flags: number;
}

/** Makes the file `to` share the extents of `from` (FICLONE); false where the file system cannot. */
export function reflink(fromFd: number, toFd: number): boolean {
  if (ioctlNumber(toFd, FICLONE, fromFd) === 0) return true;
  const error = SyscallError.last("ioctl FICLONE");
  if (["EOPNOTSUPP", "ENOTSUP", "EXDEV", "EINVAL", "ENOTTY"].includes(error.code)) return false;
  throw error;
}

/** The extents of a file in order, holes left out, after what is dirty in memory was written. Some thousand a step. */
export function* extentsOf(fd: number): Generator<Extent[]> {
  const map = Buffer.alloc(MAP_BYTES + EXTENTS_PER_CALL * EXTENT_BYTES);
  for (let start = 0; ; ) {
    // struct fiemap { u64 start, length; u32 flags, mapped_extents, extent_count, reserved; extents[] }
    map.writeBigUInt64LE(BigInt(start), 0);
    map.writeBigUInt64LE(0xffffffffffffffffn - BigInt(start), 8);
    map.writeUInt32LE(FIEMAP_FLAG_SYNC, 16);
    map.writeUInt32LE(EXTENTS_PER_CALL, 24);
    check(ioctlStruct(fd, FS_IOC_FIEMAP, map), "ioctl FS_IOC_FIEMAP");
    const count = map.readUInt32LE(20);
    const extents = Array.from({ length: count }, (_, index) => extentAt(map, MAP_BYTES + index * EXTENT_BYTES));
    if (count > 0) yield extents;
    const last = extents.at(-1);
    if (!last || last.flags & FIEMAP_EXTENT_LAST) return;
    start = last.logical + last.length;
  }
}

function extentAt(map: Buffer, at: number): Extent {
  // struct fiemap_extent { u64 logical, physical, length, reserved[2]; u32 flags, reserved[3] }
  return {
    logical: Number(map.readBigUInt64LE(at)),
    physical: Number(map.readBigUInt64LE(at + 8)),
    length: Number(map.readBigUInt64LE(at + 16)),
    flags: map.readUInt32LE(at + 40),
  };
}

/** Makes a hole of these bytes of a file: they read as zeros and take no space. The size stays. */
export function punchHole(fd: number, offset: number, length: number): void {
  check(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length), "fallocate PUNCH_HOLE");
}

/** An extended attribute of the file itself, not of what it may link to; undefined when it has none of that name. */
export function attributeOf(path: Buffer, name: string): Buffer | undefined {
  const value = Buffer.alloc(XATTR_SIZE_MAX);
  const length = Number(lgetxattr(Buffer.concat([path, Buffer.alloc(1)]), name, value, value.length));
  if (length >= 0) return value.subarray(0, length);
  const error = SyscallError.last(`lgetxattr ${name}`);
  if (["ENODATA", "EOPNOTSUPP", "ENOTSUP"].includes(error.code)) return undefined;
  throw error;
}

/** Writes what is dirty of the file system that is mounted at `path`. Blocks for as long as that takes. */
export function syncFileSystem(path: string): void {
  withDirectory(path, (fd) => check(syncfs(fd), `syncfs ${path}`));
}

/**
 * Writes what is dirty of the file system mounted at `path` and holds all its writers until it is thawed, so that its
 * device holds a consistent state. Throws EBUSY when it is frozen already. Blocks.
 */
export function freeze(path: string): void {
  withDirectory(path, (fd) => check(ioctlNumber(fd, FIFREEZE, 0), `ioctl FIFREEZE ${path}`));
}

/** Lets writers go on; false when the file system was not frozen. */
export function thaw(path: string): boolean {
  return withDirectory(path, (fd) => {
    if (ioctlNumber(fd, FITHAW, 0) === 0) return true;
    const error = SyscallError.last(`ioctl FITHAW ${path}`);
    if (error.code === "EINVAL") return false;
    throw error;
  });
}

/** Tells the device which blocks are free, runs of at least `minBytes` only; answers how many bytes that were. Blocks. */
export function trim(path: string, minBytes: number): number {
  // struct fstrim_range { u64 start, length, minlen }
  const range = Buffer.alloc(24);
  range.writeBigUInt64LE(0xffffffffffffffffn, 8);
  range.writeBigUInt64LE(BigInt(minBytes), 16);
  withDirectory(path, (fd) => check(ioctlStruct(fd, FITRIM, range), `ioctl FITRIM ${path}`));
  return Number(range.readBigUInt64LE(8));
}

function withDirectory<T>(path: string, work: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}
