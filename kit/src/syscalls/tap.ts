/** Network interfaces whose packets a program carries. Sources: tun(4) in Documentation/networking/tuntap.rst, linux/if_tun.h. */
import { closeSync, constants, openSync } from "node:fs";
import { check, libc } from "./libc.ts";

const ioctlStruct = libc.func("int ioctl(int fd, unsigned long request, void *argument)");

const TUNSETIFF = 0x400454ca;
const [IFF_TAP, IFF_NO_PI, IFF_VNET_HDR] = [0x0002, 0x1000, 0x4000];
const IFNAMSIZ = 16;
/** struct ifreq */
const IFREQ_BYTES = 40;

/**
 * Makes the interface `name` in the network namespace that this thread is in, and answers the descriptor that carries its
 * packets; with the last one of it the interface goes.
 */
export function openTap(name: string): number {
  const fd = openSync("/dev/net/tun", constants.O_RDWR | constants.O_NONBLOCK);
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write(name, 0, IFNAMSIZ - 1);
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, IFNAMSIZ);
  try {
    check(ioctlStruct(fd, TUNSETIFF, request), `ioctl TUNSETIFF ${name}`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
