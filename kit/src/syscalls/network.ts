/**
 * Network namespaces and links without a process: setns(2), unshare(2) and route netlink. Everything here is synchronous,
 * so the thread is never seen in another namespace than its own by other code.
 * Sources: netlink(7), rtnetlink(7), veth(4), linux/if_link.h, linux/rtnetlink.h.
 */
import { closeSync, openSync, writeFileSync } from "node:fs";
import { check, libc, SyscallError } from "./libc.ts";
import { bind } from "./mount.ts";

const unshareCall = libc.func("int unshare(int flags)");
const setnsCall = libc.func("int setns(int fd, int type)");
const socketCall = libc.func("int socket(int domain, int type, int protocol)");
const bindCall = libc.func("int bind(int fd, void *address, unsigned int length)");
const sendCall = libc.func("long send(int fd, void *data, size_t length, int flags)");
const receiveCall = libc.func("long recv(int fd, void *data, size_t length, int flags)");
const interfaceIndex = libc.func("unsigned int if_nametoindex(str name)");

const CLONE_NEWNET = 0x40000000;
const OWN = "/proc/thread-self/ns/net";
const [AF_INET, AF_NETLINK, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_CLOEXEC, NETLINK_ROUTE] = [
  2, 16, 1, 2, 3, 0o2000000, 0,
];
const NLMSG_ERROR = 2;
const [RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_NEWROUTE] = [16, 17, 20, 24];
const [NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE] = [1, 4, 0x200, 0x400];
const [IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD, IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER] = [
  3, 18, 28, 1, 2, 1,
];
const [IFA_ADDRESS, IFA_LOCAL, RTA_DST, RTA_OIF, RTA_GATEWAY] = [1, 2, 1, 4, 5];
const [RT_TABLE_MAIN, RTPROT_BOOT, RTN_UNICAST, RT_SCOPE_UNIVERSE, RT_SCOPE_LINK] = [254, 3, 1, 0, 253];
const IFF_UP = 1;
const LOOPBACK_INDEX = 1;

/** Runs `action`, which must be synchronous, with this thread in the network namespace at `path`. Throws SyscallError. */
export function inNetns<T>(path: string, action: () => T): T {
  const there = openSync(path, "r");
  try {
    return elsewhere(() => check(setnsCall(there, CLONE_NEWNET), `setns ${path}`), action);
  } finally {
    closeSync(there);
  }
}

/**
 * Makes a network namespace, runs `action` (synchronous) in it and gives it the name `path`, which keeps it alive until it
 * is unmounted. Throws SyscallError; EEXIST when the name is taken.
 */
export function createNetns(path: string, action: () => void): void {
  closeSync(openSync(path, "wx", 0o444));
  elsewhere(
    () => check(unshareCall(CLONE_NEWNET), "unshare CLONE_NEWNET"),
    () => {
      bind(OWN, path);
      action();
    },
  );
}

function elsewhere<T>(enter: () => void, action: () => T): T {
  const home = openSync(OWN, "r");
  try {
    enter();
    try {
      return action();
    } finally {
      // Going on in a sandbox's network would be worse than not going on.
      if (setnsCall(home, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(home);
  }
}

/** A socket of the namespace that this thread is in, bound to a port of `address` where that is given. It stays there wherever it is used. */
export function openSocket(kind: "tcp" | "udp", address?: string): number {
  const type = kind === "tcp" ? SOCK_STREAM : SOCK_DGRAM;
  const fd = check(socketCall(AF_INET, type | SOCK_CLOEXEC, 0), `socket ${kind}`);
  if (address === undefined) return fd;
  // struct sockaddr_in with port 0: the kernel chooses one
  const name = Buffer.alloc(16);
  name.writeUInt16LE(AF_INET, 0);
  ipv4(address).copy(name, 4);
  if (bindCall(fd, name, name.length) === 0) return fd;
  const error = SyscallError.last(`bind ${address}`);
  closeSync(fd);
  throw error;
}

/** Sets `/proc/sys/net/<name>` of the namespace that this thread is in. */
export function setNetworkSetting(name: string, value: string): void {
  writeFileSync(`/proc/sys/net/${name}`, value);
}

/** A connection to the kernel's link, address and route tables of the namespace it is opened in. */
export class RouteTables {
  readonly #fd = check(socketCall(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "socket AF_NETLINK");
  #sequence = 0;

  close(): void {
    closeSync(this.#fd);
  }

  /** Makes a pair of joined interfaces, `name` here (up) and `peer` in the namespace of `netnsFd`. EEXIST: taken. */
  addVeth(name: string, peer: string, netnsFd: number): void {
    const peerLink = [
      linkHeader(0, false),
      attribute(IFLA_IFNAME, text(peer)),
      attribute(IFLA_NET_NS_FD, u32(netnsFd)),
    ];
    const info = [
      attribute(IFLA_INFO_KIND, text("veth")),
      attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, Buffer.concat(peerLink))),
    ];
    const parts = [
      linkHeader(0, true),
      attribute(IFLA_IFNAME, text(name)),
      attribute(IFLA_LINKINFO, Buffer.concat(info)),
    ];
    this.#request(`link add ${name}`, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, parts);
  }

  setLoopbackUp(): void {
    this.#request("link set lo up", RTM_NEWLINK, 0, [linkHeader(LOOPBACK_INDEX, true)]);
  }

  setUp(name: string): void {
    this.#request(`link set ${name} up`, RTM_NEWLINK, 0, [linkHeader(indexOf(name), true)]);
  }

  /** Removes an interface, and with it its other end; answers false when there is none. */
  removeLink(name: string): boolean {
    try {
      this.#request(`link del ${name}`, RTM_DELLINK, 0, [linkHeader(0, false), attribute(IFLA_IFNAME, text(name))]);
      return true;
    } catch (error) {
      if (error instanceof SyscallError && error.code === "ENODEV") return false;
      throw error;
    }
  }

  hasLink(name: string): boolean {
    return interfaceIndex(name) !== 0;
  }

  addAddress(name: string, address: string, prefixLength: number): void {
    const header = Buffer.from([AF_INET, prefixLength, 0, RT_SCOPE_UNIVERSE, 0, 0, 0, 0]);
    header.writeUInt32LE(indexOf(name), 4);
    const value = ipv4(address);
    const parts = [header, attribute(IFA_LOCAL, value), attribute(IFA_ADDRESS, value)];
    this.#request(`addr add ${address} dev ${name}`, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, parts);
  }

  /** Adds a route to the one address. Throws SyscallError EEXIST when there is a route to it already. */
  addHostRoute(address: string, name: string): void {
    const parts = [
      routeHeader(32, RT_SCOPE_LINK),
      attribute(RTA_DST, ipv4(address)),
      attribute(RTA_OIF, u32(indexOf(name))),
    ];
    this.#request(`route add ${address} dev ${name}`, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, parts);
  }

  addDefaultRoute(gateway: string): void {
    const parts = [routeHeader(0, RT_SCOPE_UNIVERSE), attribute(RTA_GATEWAY, ipv4(gateway))];
    this.#request(`route add default via ${gateway}`, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, parts);
  }

  #request(what: string, type: number, flags: number, parts: readonly Buffer[]): void {
    const body = Buffer.concat(parts);
    const message = Buffer.alloc(16 + body.length);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt16LE(type, 4);
    message.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK | flags, 6);
    message.writeUInt32LE(++this.#sequence, 8);
    body.copy(message, 16);
    check(sendCall(this.#fd, message, message.length, 0), what);
    const answer = Buffer.alloc(4096);
    check(receiveCall(this.#fd, answer, answer.length, 0), what);
    if (answer.readUInt16LE(4) !== NLMSG_ERROR || answer.readUInt32LE(8) !== this.#sequence)
      throw new Error(`${what}: the kernel answered something else`);
    const code = answer.readInt32LE(16);
    if (code !== 0) throw new SyscallError(what, -code);
  }
}

/** struct ifinfomsg */
function linkHeader(index: number, up: boolean): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  if (!up) return header;
  header.writeUInt32LE(IFF_UP, 8);
  header.writeUInt32LE(IFF_UP, 12);
  return header;
}

/** struct rtmsg */
const routeHeader = (prefixLength: number, scope: number): Buffer =>
  Buffer.from([AF_INET, prefixLength, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0, 0, 0, 0]);

/** struct rtattr with its value, padded to four bytes */
function attribute(type: number, value: Buffer): Buffer {
  const buffer = Buffer.alloc((4 + value.length + 3) & ~3);
  buffer.writeUInt16LE(4 + value.length, 0);
  buffer.writeUInt16LE(type, 2);
  value.copy(buffer, 4);
  return buffer;
}

const text = (value: string) => Buffer.from(`${value}\0`);
const ipv4 = (address: string) => Buffer.from(address.split(".").map(Number));

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function indexOf(name: string): number {
  const index = interfaceIndex(name);
  if (index === 0) throw SyscallError.last(`interface ${name}`);
  return index;
}
