import { closeSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createNetns, inNetns, RouteTables, setNetworkSetting, unmount } from "@mags/kit";
import type { NetworkPolicy } from "@mags/protocol";

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
  /** Lets it reach less than others; to be called again after an agent's restart. */
  restrict(policy: NetworkPolicy): Promise<void>;
  /** IP packets that it has sent to other hosts since it was made, `bytes` */
  sent(): Promise<number>;
  release(): Promise<void>;
}

type Wiring = Pick<NetworkSlot, "netnsPath" | "address" | "gateway" | "hostInterface">;

/**
 * Makes a slot's namespace and joins it to the network that this thread is in. The route to the sandbox's single address
 * is the claim on it: the kernel refuses a second one, from whichever agent (SyscallError EEXIST).
 */
export function wire(tables: RouteTables, { netnsPath, address, gateway, hostInterface }: Wiring): void {
  createNetns(netnsPath, settings);
  const namespace = openSync(netnsPath, "r");
  try {
    tables.addVeth(hostInterface, "eth0", namespace);
  } finally {
    closeSync(namespace);
  }
  tables.addHostRoute(address, hostInterface);
  tables.addAddress(hostInterface, gateway, 32);
  inNetns(netnsPath, () => {
    const inside = new RouteTables();
    try {
      inside.setLoopbackUp();
      inside.addAddress("eth0", address, 30);
      inside.setUp("eth0");
      inside.addDefaultRoute(gateway);
    } finally {
      inside.close();
    }
  });
}

/**
 * What is set inside the namespace before anyone lives there. Low ports are open to all, because the sandbox's root has no
 * power over a namespace that the host owns; IPv6 is off, for there is no route that the firewall would know.
 */
function settings(): void {
  setNetworkSetting("ipv4/ip_unprivileged_port_start", "0");
  setNetworkSetting("ipv4/ping_group_range", "0 2147483647");
  try {
    setNetworkSetting("ipv6/conf/all/disable_ipv6", "1");
  } catch (error) {
    // A kernel without IPv6 has no such setting.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Takes a namespace's name away; processes in it keep it alive. Also right where only the empty file is left. */
export async function forgetNetns(path: string): Promise<void> {
  unmount(path);
  await rm(path, { force: true });
}
