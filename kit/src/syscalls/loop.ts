/**
 * Loop devices by their ioctls, without a process. Source: linux/loop.h (LOOP_CTL_GET_FREE, LOOP_CONFIGURE with struct
 * loop_config, since Linux 5.8), loop(4).
 */
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { check, libc, SyscallError } from "./libc.ts";
import { mount } from "./mount.ts";

const ioctlNumber = libc.func("int ioctl(int fd, unsigned long request, long argument)");
const ioctlStruct = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mknod = libc.func("int mknod(str path, unsigned int mode, uint64_t device)");

const LOOP_SET_CAPACITY = 0x4c07;
const LOOP_GET_STATUS64 = 0x4c05;
const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
const LOOP_MAJOR = 7n;
const S_IFBLK = 0o060000;
/** sizeof(struct loop_info64); device and inode of the file stand at its start */
const INFO_BYTES = 232;
/** sizeof(struct loop_config): fd, block size, struct loop_info64 (232 bytes at 8), eight reserved words */
const CONFIG_BYTES = 304;
const INFO_AT = 8;
const INFO_FLAGS_AT = 52;
const FLAGS_AT = INFO_AT + INFO_FLAGS_AT;
const NAME_AT = INFO_AT + 56;
const NAME_BYTES = 64;
const TRIES = 100;
const [PAGE_KB, DEFAULT_KB] = [4, 1280];

/**
 * Mounts the file system image `image` at `target` over a loop device that goes away with its last mount. `flags` and
 * `data` as in mount(2). An image that is mounted already, in whichever mount namespace, is mounted over the same device:
 * two devices over one file would be two file systems that know nothing of each other and destroy it. `fresh` says that
 * nobody else can have it, which saves the search; `direct` that what is written shall not be kept in memory a second time, for the
 * file. Throws SyscallError.
 */
export function mountImage(
  type: string,
  image: string,
  target: string,
  options: { flags?: number; data?: string; readOnly?: boolean; fresh?: boolean; direct?: boolean } = {},
): void {
  const { flags = 0, data = "", readOnly = false, fresh = false, direct = false } = options;
  const file = openSync(image, readOnly ? "r" : "r+");
  try {
    const loop = (fresh ? undefined : findLoop(file)) ?? attach(file, image, readOnly, direct);
    try {
      if (!readOnly) limitWrites(loop);
      mount(type, loop.device, target, data, flags);
    } finally {
      // From here on the mount alone holds the device; without one it is free again.
      closeSync(loop.fd);
    }
  } finally {
    closeSync(file);
  }
}

/** Lets the loop device of `image` see that the file has grown; answers its name. Throws Error when it has none. */
export function growLoop(image: string): string {
  const file = openSync(image, "r");
  try {
    const loop = findLoop(file);
    if (!loop) throw new Error(`${image} is not mounted`);
    try {
      check(ioctlNumber(loop.fd, LOOP_SET_CAPACITY, 0), `ioctl LOOP_SET_CAPACITY ${loop.device}`);
      return loop.device;
    } finally {
      closeSync(loop.fd);
    }
  } finally {
    closeSync(file);
  }
}

/** Name of the loop device of `image`, such as loop3, in whichever mount namespace it is mounted; undefined when it has none. */
export function loopOf(image: string): string | undefined {
  const file = openSync(image, "r");
  try {
    const loop = findLoop(file);
    if (loop) closeSync(loop.fd);
    return loop?.device.slice("/dev/".length);
  } finally {
    closeSync(file);
  }
}

/** The loop device that shows the file open as `file`, opened; it stays as long as the descriptor. */
function findLoop(file: number): { device: string; fd: number } | undefined {
  const wanted = fstatSync(file, { bigint: true });
  for (const name of readdirSync("/sys/block")) {
    if (!name.startsWith("loop") || !existsSync(`/sys/block/${name}/loop`)) continue;
    const device = `/dev/${name}`;
    const fd = openSync(device, "r+");
    const info = Buffer.alloc(INFO_BYTES);
    const found = ioctlStruct(fd, LOOP_GET_STATUS64, info) === 0;
    if (found && info.readBigUInt64LE(0) === wanted.dev && info.readBigUInt64LE(8) === wanted.ino)
      return { device, fd };
    closeSync(fd);
  }
  return undefined;
}

/**
 * Lets a device write a page at a time, unless its file is written directly. A loop device takes a write for done of which its file
 * could only take a part, as where that finds no more space; the rest is lost and nobody is told (drivers/block/loop.c,
 * lo_complete_rq; seen with Linux 6.18). Of a page there is no part, and a direct write says so. Large files take twice as long to
 * write so, small ones and what is synced as long as before.
 */
function limitWrites({ device, fd }: { device: string; fd: number }): void {
  const info = Buffer.alloc(INFO_BYTES);
  check(ioctlStruct(fd, LOOP_GET_STATUS64, info), `ioctl LOOP_GET_STATUS64 ${device}`);
  const direct = (info.readUInt32LE(INFO_FLAGS_AT) & LO_FLAGS_DIRECT_IO) !== 0;
  const queue = `/sys/block/${device.slice("/dev/".length)}/queue`;
  const kilobytes = (name: string) => Number(readFileSync(`${queue}/${name}`, "utf8"));
  const wanted = direct ? Math.min(DEFAULT_KB, kilobytes("max_hw_sectors_kb")) : PAGE_KB;
  // A device keeps the limit for who has it next. To set it takes some 20 ms, in which the kernel stops the device.
  if (kilobytes("max_sectors_kb") !== wanted) writeFileSync(`${queue}/max_sectors_kb`, String(wanted));
}

function attach(file: number, name: string, readOnly: boolean, direct: boolean): { device: string; fd: number } {
  const config = Buffer.alloc(CONFIG_BYTES);
  config.writeUInt32LE(file, 0);
  const flags = LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0) | (direct ? LO_FLAGS_DIRECT_IO : 0);
  config.writeUInt32LE(flags, FLAGS_AT);
  config.write(name.slice(0, NAME_BYTES - 1), NAME_AT);
  const control = openSync("/dev/loop-control", "r+");
  try {
    for (let tries = 1; ; tries++) {
      const number = check(ioctlNumber(control, LOOP_CTL_GET_FREE, 0), "ioctl LOOP_CTL_GET_FREE");
      const device = `/dev/loop${number}`;
      // Where /dev is no devtmpfs, nobody makes the nodes of new devices.
      if (!existsSync(device)) check(mknod(device, S_IFBLK | 0o660, (LOOP_MAJOR << 8n) | BigInt(number)), "mknod");
      const fd = openSync(device, readOnly ? "r" : "r+");
      if (ioctlStruct(fd, LOOP_CONFIGURE, config) === 0) return { device, fd };
      const error = SyscallError.last(`ioctl LOOP_CONFIGURE ${device}`);
      closeSync(fd);
      // Another took the free device in this moment.
      if (error.code !== "EBUSY" || tries === TRIES) throw error;
    }
  } finally {
    closeSync(control);
  }
}
