import { rm } from "node:fs/promises";
import { unmount } from "@mags/kit";

/** One sandbox's network: a namespace joined to the host by a veth pair. */
export interface NetworkSlot {
  id: string;
  /** path for the runtime to join; gone after `handOver` */
  netnsPath: string;
  /** IPv4 address of the sandbox */
  address: string;
  gateway: string;
  hostInterface: string;
  /** Gives the namespace to the processes in it: from then on it ends with the last of them and leaves nothing. */
  handOver(): Promise<void>;
  release(): Promise<void>;
}

/**
 * What is set inside the namespace before anyone lives there. Low ports are open to all, because the sandbox's root has no
 * power over a namespace that the host owns; IPv6 is off, for there is no route that the firewall would know (a kernel
 * without IPv6 has no such setting).
 */
const inside = (address: string, gateway: string): string =>
  [
    "[ ! -e /proc/sys/net/ipv6 ] || echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6",
    "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start",
    'echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range',
    `printf "%s\\n" "link set lo up" "addr add ${address}/30 dev eth0" "link set eth0 up" "route add default via ${gateway}" | ip -batch -`,
  ].join("; ");

/**
 * A slot as one `ip -batch`, hence one process for Node to start. The route to the sandbox's single address is the claim
 * on it: the kernel refuses a second one, from whichever agent.
 */
export function slotBatch(slot: { address: string; gateway: string; hostInterface: string }, name: string): string {
  const { address, gateway, hostInterface } = slot;
  return `netns add ${name}
link add ${hostInterface} type veth peer name eth0 netns ${name}
link set ${hostInterface} up
route add ${address}/32 dev ${hostInterface}
addr add ${gateway}/32 dev ${hostInterface}
netns exec ${name} sh -euc '${inside(address, gateway)}'
`;
}

/** Takes a namespace's name away; processes in it keep it alive. Also right where only the empty file is left. */
export async function forgetNetns(path: string): Promise<void> {
  unmount(path);
  await rm(path, { force: true });
}
