/**
 * Mount calls that Debian 12's command line tools cannot make: idmapped clones of a mount and an overlay whose
 * credentials are those of a mapped root. Each is one system call through koffi, without a process.
 * Sources: open_tree(2), mount_setattr(2), move_mount(2), capset(2), linux/mount.h, linux/capability.h.
 */
import { readFileSync } from "node:fs";
import { check, libc, SyscallError } from "./libc.ts";

const syscall5 = libc.func("long syscall(long nr, int a, str b, unsigned int c)");
const mountSetattr = libc.func("long syscall(long nr, int fd, str path, unsigned int flags, void *attr, size_t size)");
const moveMount = libc.func("long syscall(long nr, int fromFd, str from, int toFd, str to, unsigned int flags)");
const mountCall = libc.func("int mount(str source, str target, str type, unsigned long flags, str data)");
const umount2 = libc.func("int umount2(str target, int flags)");
const setfsuid = libc.func("int setfsuid(unsigned int id)");
const setfsgid = libc.func("int setfsgid(unsigned int id)");
const capset = libc.func("int capset(void *header, void *data)");
const close = libc.func("int close(int fd)");

/** Numbers of the system calls; the same on every architecture since Linux 5.x (the common table). */
const NR = { open_tree: 428, move_mount: 429, mount_setattr: 442 };
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x00100000n;
const MNT_DETACH = 2;
const MS_BIND = 0x1000;
/** Do not note when files were read. */
export const MS_NOATIME = 0x400;
/** Files of devices are none. */
export const MS_NODEV = 4;
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const ALL_CAPABILITIES = 0x1ffffffffffn;

/**
 * Attaches at `target` a copy of the mount at `source` in which ids are shifted as the user namespace `usernsFd` maps
 * them: what is uid 0 on disk appears as the first id of the range, and a write by it arrives as uid 0.
 */
export function bindIdmapped(source: string, target: string, usernsFd: number): void {
  const tree = check(
    Number(syscall5(NR.open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)),
    `open_tree ${source}`,
  );
  try {
    // struct mount_attr { u64 attr_set, attr_clr, propagation, userns_fd }
    const attr = Buffer.alloc(32);
    attr.writeBigUInt64LE(MOUNT_ATTR_IDMAP, 0);
    attr.writeBigUInt64LE(BigInt(usernsFd), 24);
    check(
      Number(mountSetattr(NR.mount_setattr, tree, "", AT_EMPTY_PATH, attr, attr.length)),
      `mount_setattr ${source}`,
    );
    check(
      Number(moveMount(NR.move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)),
      `move_mount ${target}`,
    );
  } finally {
    close(tree);
  }
}

/** Mounts `type` at `target`; `data` is the file system's own option string. */
export function mount(type: string, source: string, target: string, data = "", flags = 0): void {
  check(mountCall(source, target, type, flags, data), `mount ${type} at ${target}`);
}

/** Shows the file or directory `source` at `target` too. */
export function bind(source: string, target: string): void {
  mount("", source, target, "", MS_BIND);
}

/**
 * Mounts as `mount` does, with the file system ids of `id`: overlayfs keeps its mounter's credentials for every later
 * access to its layers, and plain root has no mapping in idmapped ones, so that everything would be read-only.
 * The ids are this thread's alone and are put back before the call returns.
 */
export function mountAs(id: number, type: string, source: string, target: string, data: string, flags = 0): void {
  setfsgid(id);
  setfsuid(id);
  try {
    // Leaving fsuid 0 drops the file system capabilities from the effective set; overlayfs needs them.
    raiseCapabilities();
    mount(type, source, target, data, flags);
  } finally {
    setfsuid(0);
    setfsgid(0);
    raiseCapabilities();
  }
}

/** Detaches the mount at `target`; one that is not there is no error. */
export function unmount(target: string): void {
  if (umount2(target, MNT_DETACH) < 0) {
    const error = SyscallError.last(`umount ${target}`);
    if (error.code !== "EINVAL" && error.code !== "ENOENT") throw error;
  }
}

/**
 * As `unmount`, on another thread: the last unmount of a file system writes out what it holds, which may be gigabytes.
 */
export async function unmountAside(target: string): Promise<void> {
  const result = await new Promise<number>((resolve, reject) =>
    umount2.async(target, MNT_DETACH, (error: Error | null, code: number) => (error ? reject(error) : resolve(code))),
  );
  // The errno stayed on that thread; asked again, the call fails for the same reason.
  if (result < 0) unmount(target);
}

let permitted: bigint | undefined;

function raiseCapabilities(): void {
  permitted ??= readPermitted();
  // struct __user_cap_header { u32 version; int pid } and two of { u32 effective, permitted, inheritable }
  const header = Buffer.alloc(8);
  header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3, 0);
  const data = Buffer.alloc(24);
  for (const word of [0, 1]) {
    const bits = Number((permitted >> BigInt(32 * word)) & 0xffffffffn);
    data.writeUInt32LE(bits, word * 12);
    data.writeUInt32LE(bits, word * 12 + 4);
  }
  check(capset(header, data), "capset");
}

function readPermitted(): bigint {
  const line = /^CapPrm:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return line?.[1] ? BigInt(`0x${line[1]}`) : ALL_CAPABILITIES;
}
