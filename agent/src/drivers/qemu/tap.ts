import { inNetns, openTap, RouteTables, run, setNetworkSetting } from "@mags/kit";
import type { NetworkSlot } from "../../network/index.ts";

/** The host's end of the private link to a machine; the same in every network namespace, and nothing leads there from outside. */
export const LINK_ADDRESS = "169.254.213.1";
/** Where a machine is reached before it has got an address of its own. */
export const FIRST_ADDRESS = "169.254.213.2";
const TAP = "tap0";
/** Always the same, because a machine that was saved goes on with the one that it knows. */
const TAP_MAC = "02:00:00:00:00:01";

/**
 * Puts a machine into a slot's network namespace, in the place that a container has there: the namespace becomes a router
 * between the slot's link to the host and the machine, which takes the slot's address for itself. So the host's rules
 * hold for it as for any other; at `cameFrom`, which another may have by now, the host alone reaches it. Answers the descriptor that
 * carries the machine's packets.
 */
export async function plugTap({ netnsPath, address, gateway }: NetworkSlot, cameFrom?: string): Promise<number> {
  const tap = inNetns(netnsPath, () => {
    const fd = openTap(TAP);
    setNetworkSetting("ipv4/ip_forward", "1");
    for (const name of ["eth0", TAP]) {
      // Each side asks for the other's address and gets the namespace's own; at once, which is not the default.
      setNetworkSetting(`ipv4/conf/${name}/proxy_arp`, "1");
      setNetworkSetting(`ipv4/neigh/${name}/proxy_delay`, "0");
    }
    return fd;
  });
  const commands = [
    `addr del ${address}/30 dev eth0`,
    `addr add ${LINK_ADDRESS}/32 dev ${TAP}`,
    `link set ${TAP} address ${TAP_MAC} up`,
    `route add ${gateway}/32 dev eth0`,
    `route add default via ${gateway} dev eth0`,
    `route add ${address}/32 dev ${TAP} src ${LINK_ADDRESS}`,
    ...[FIRST_ADDRESS, cameFrom].map((at) =>
      at && at !== address ? `route add ${at}/32 dev ${TAP} src ${LINK_ADDRESS}` : "",
    ),
  ];
  await run("nsenter", [`--net=${netnsPath}`, "ip", "-batch", "-"], { input: `${commands.join("\n")}\n` });
  return tap;
}

/** Takes a machine's link to the host away; its namespace may live on until the last connection in it is given up. */
export function removeUplink(netns: string): void {
  inNetns(netns, () => {
    const tables = new RouteTables();
    try {
      tables.removeLink("eth0");
    } finally {
      tables.close();
    }
  });
}
