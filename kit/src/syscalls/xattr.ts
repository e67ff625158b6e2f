/** Extended attributes and whiteouts of overlays, by paths that may be of any bytes. Sources: xattr(7), mknod(2). */
import { check, libc, SyscallError } from "./libc.ts";

const lgetxattr = libc.func("long lgetxattr(void *path, str name, void *value, size_t size)");
const lsetxattr = libc.func("int lsetxattr(void *path, str name, str value, size_t size, int flags)");
const lremovexattr = libc.func("int lremovexattr(void *path, str name)");
const mknod = libc.func("int mknod(void *path, unsigned int mode, uint64_t device)");

const S_IFCHR = 0o020000;
const MOST_BYTES = 256;

/** A short attribute of a file, symbolic links not followed; undefined when it has none of that name. */
export function getXattr(path: Buffer, name: string): string | undefined {
  const value = Buffer.alloc(MOST_BYTES);
  const length = Number(lgetxattr(terminated(path), name, value, value.length));
  if (length >= 0) return value.toString("utf8", 0, length);
  const error = SyscallError.last(`lgetxattr ${name}`);
  if (error.code === "ENODATA" || error.code === "ENOTSUP" || error.code === "EOPNOTSUPP") return undefined;
  throw error;
}

export function setXattr(path: Buffer, name: string, value: string): void {
  check(lsetxattr(terminated(path), name, value, Buffer.byteLength(value), 0), `lsetxattr ${name}`);
}

export function removeXattr(path: Buffer, name: string): void {
  check(lremovexattr(terminated(path), name), `lremovexattr ${name}`);
}

/** Makes what an overlay takes for "the file of this name below is deleted": a character device 0/0. */
export function makeWhiteout(path: Buffer): void {
  check(mknod(terminated(path), S_IFCHR, 0), "mknod");
}

const terminated = (path: Buffer): Buffer => Buffer.concat([path, Buffer.alloc(1)]);
