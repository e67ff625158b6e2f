/**
 * Loop devices by their ioctls, without a process. Source: linux/loop.h (LOOP_CTL_GET_FREE, LOOP_CONFIGURE with struct
 * loop_config, since Linux 5.8), loop(4).
 */
import { closeSync, existsSync, openSync } from "node:fs";
import { check, libc, SyscallError } from "./libc.ts";
import { mount } from "./mount.ts";

const ioctlNumber = libc.func("int ioctl(int fd, unsigned long request, long argument)");
const ioctlStruct = libc.func("int ioctl(int fd, unsigned long request, void *argument)");
const mknod = libc.func("int mknod(str path, unsigned int mode, uint64_t device)");

const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LOOP_MAJOR = 7n;
const S_IFBLK = 0o060000;
/** sizeof(struct loop_config): fd, block size, struct loop_info64 (232 bytes at 8), eight reserved words */
const CONFIG_BYTES = 304;
const INFO_AT = 8;
const FLAGS_AT = INFO_AT + 52;
const NAME_AT = INFO_AT + 56;
const NAME_BYTES = 64;
const TRIES = 100;

/**
 * Mounts the file system image `image` at `target` over a loop device that goes away with the mount. `flags` and `data`
 * as in mount(2). Throws SyscallError.
 */
export function mountImage(type: string, image: string, target: string, flags = 0, data = "", readOnly = false): void {
  const file = openSync(image, readOnly ? "r" : "r+");
  try {
    const loop = attach(file, image, readOnly);
    try {
      mount(type, loop.device, target, data, flags);
    } finally {
      // From here on the mount alone holds the device; without one it is free again.
      closeSync(loop.fd);
    }
  } finally {
    closeSync(file);
  }
}

function attach(file: number, name: string, readOnly: boolean): { device: string; fd: number } {
  const config = Buffer.alloc(CONFIG_BYTES);
  config.writeUInt32LE(file, 0);
  config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | (readOnly ? LO_FLAGS_READ_ONLY : 0), FLAGS_AT);
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
