import { readFile } from "node:fs/promises";
import { isIPv4 } from "node:net";

/** Where sandboxes' questions to the DNS go. */
export interface Resolvers {
  /** as written to a sandbox's resolv.conf */
  nameservers: string[];
  /** the host's resolver behind `nameservers`, when it listens on loopback only */
  loopback?: string;
}

/**
 * Chooses resolvers that a sandbox can reach. One on the host's loopback is reachable from the host only, so it is put
 * behind `dns`, an address that the firewall rewrites; it is the last resort, for it may know names meant for the host.
 */
export function chooseResolvers(configured: readonly string[], dns: string): Resolvers {
  const usable = configured.filter((address) => isIPv4(address));
  const outside = usable.filter((address) => !isLoopback(address));
  if (outside.length > 0) return { nameservers: outside };
  const loopback = usable[0];
  return loopback ? { nameservers: [dns], loopback } : { nameservers: [] };
}

/** Text of `/etc/resolv.conf` inside. */
export const resolvConf = ({ nameservers }: Resolvers): string =>
  `${nameservers.map((address) => `nameserver ${address}\n`).join("")}options timeout:2 attempts:3\n`;

/** The host's resolvers; behind the stub of systemd-resolved, those that the stub asks. */
export async function hostResolvers(): Promise<string[]> {
  const lists = await Promise.all(["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"].map(nameserversOf));
  return lists.find((list) => list.some((address) => !isLoopback(address))) ?? lists.flat();
}

async function nameserversOf(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)]
    .map((match) => match[1] as string)
    .filter((address) => isIPv4(address));
}

const isLoopback = (address: string): boolean => address.startsWith("127.");
