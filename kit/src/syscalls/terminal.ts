/**
 * Files and terminals of another root directory, without trusting what is in it.
 * Sources: openat2(2), linux/openat2.h, ioctl_tty(2), pts(4).
 */
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { check, libc } from "./libc.ts";

const openat2 = libc.func("long syscall(long number, int directory, str path, void *how, size_t size)");
const ioctlNumber = libc.func("int ioctl(int fd, unsigned long request, long argument)");
const ioctlStruct = libc.func("int ioctl(int fd, unsigned long request, void *argument)");

/** The same on every architecture. */
const NR_OPENAT2 = 437;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
const O_CLOEXEC = 0o2000000;
const TIOCSWINSZ = 0x5414;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
/** major 5, minor 2 */
const PTMX_DEVICE = 0x502;

/**
 * Opens `path` as a process whose root directory is `root` would: links, absolute ones too, and `..` stay below it,
 * whatever somebody there changes meanwhile. Never waits for a FIFO and never becomes the terminal of this process.
 * Throws SyscallError.
 */
export function openWithin(root: string, path: string, flags: number): number {
  // struct open_how { u64 flags, mode, resolve }
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC | constants.O_NONBLOCK | constants.O_NOCTTY), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), 16);
  const directory = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return check(openat2(NR_OPENAT2, directory, path, how, how.length), `openat2 ${path}`);
  } finally {
    closeSync(directory);
  }
}

/** A new terminal of the file system at `/dev/pts` below `root`: the side to hold, and the side for the program in it. */
export function openTerminal(root: string): { master: number; slave: number } {
  const master = openWithin(root, "/dev/pts/ptmx", constants.O_RDWR);
  try {
    if (fstatSync(master).rdev !== PTMX_DEVICE) throw new Error("/dev/pts/ptmx is no terminal multiplexer");
    check(ioctlStruct(master, TIOCSPTLCK, Buffer.alloc(4)), "ioctl TIOCSPTLCK");
    const flags = constants.O_RDWR | constants.O_NOCTTY | O_CLOEXEC;
    // By the descriptor and not by its name, which may mean something else by now.
    return { master, slave: check(ioctlNumber(master, TIOCGPTPEER, flags), "ioctl TIOCGPTPEER") };
  } catch (error) {
    closeSync(master);
    throw error;
  }
}

/** Tells the program in a terminal, given by either side, how large its window is. */
export function resizeTerminal(fd: number, cols: number, rows: number): void {
  // struct winsize { u16 rows, columns, and two of pixels }
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(cols, 2);
  check(ioctlStruct(fd, TIOCSWINSZ, size), "ioctl TIOCSWINSZ");
}
