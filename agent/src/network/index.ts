import { readFile } from "node:fs/promises";
import { type Cleanup, type Logger, run } from "@mags/kit";
import { ruleset } from "./rules.ts";

export interface NetworkOptions {
  /** name of this agent among others on the machine; eight characters */
  instance: string;
  logger: Logger;
  /** command put before each call, to work in another network namespace than the caller's */
  prefix?: string[];
  /** resolvers of sandboxes; those of the host by default */
  resolvers?: string[];
}

/** One sandbox's network: a namespace joined to the host by a veth pair. */
export interface NetworkSlot {
  id: string;
  /** path for the runtime to join; gone after `handOver` */
  netnsPath: string;
  address: string;
  gateway: string;
  hostInterface: string;
  /** Gives the namespace to the processes in it: from then on it ends with the last of them and leaves nothing. */
  handOver(): Promise<void>;
  release(): Promise<void>;
}

/** Addresses: a /30 per slot out of this /16, so that sandboxes share no link. */
const RANGE_PREFIX = "10.213";
const SLOTS = 16_384;

/**
 * Networks of sandboxes. The namespace has a name only until a container lives in it; the agent's private mount
 * namespace holds that name, so a killed agent leaves at most an empty file and a host interface, which `reclaim` takes.
 */
export class Network {
  readonly #options: NetworkOptions;
  readonly #resolvers: string[];
  readonly #used = new Set<number>();

  private constructor(options: NetworkOptions, resolvers: string[]) {
    this.#options = options;
    this.#resolvers = resolvers;
  }

  /** Sets forwarding and the firewall. Throws when nftables or forwarding is not to be had. */
  static async open(options: NetworkOptions): Promise<Network> {
    const network = new Network(options, options.resolvers ?? (await hostResolvers()));
    await network.#run("sysctl", ["-qw", "net.ipv4.ip_forward=1"]);
    const rules = ruleset({
      table: network.#table,
      interfaces: network.#interfaces,
      range: `${RANGE_PREFIX}.0.0/16`,
      resolvers: network.#resolvers,
    });
    await network.#run("nft", ["-f", "-"], rules);
    return network;
  }

  /** `/etc/resolv.conf` of a sandbox. */
  resolvConf(): string {
    return `${this.#resolvers.map((address) => `nameserver ${address}`).join("\n")}\noptions timeout:2 attempts:3\n`;
  }

  /** A new network; its undo is on `cleanup`. */
  async acquire(cleanup: Cleanup): Promise<NetworkSlot> {
    let number = 0;
    while (this.#used.has(number)) number++;
    if (number >= SLOTS) throw new Error(`all ${SLOTS} sandbox networks are in use`);
    this.#used.add(number);
    const slot = this.#slot(number);
    cleanup.add("network", () => slot.release());
    const name = this.#name(number);
    await this.#run("ip", ["-batch", "-"], [
      `netns add ${name}`,
      `link add ${slot.hostInterface} type veth peer name eth0 netns ${name}`,
      `addr add ${slot.gateway}/30 dev ${slot.hostInterface}`,
      `link set ${slot.hostInterface} up`,
    ]);
    await this.#run("ip", ["netns", "exec", name, "sh", "-euc", INSIDE, "sh", slot.address, slot.gateway]);
    // Strict reverse path: a packet with another's source address does not leave its own interface.
    await this.#run("sysctl", ["-qw", `net.ipv4.conf.${slot.hostInterface}.rp_filter=1`]);
    return slot;
  }

  /** The network of a sandbox that an earlier agent process made. */
  adopt(id: string): NetworkSlot {
    const number = Number(id);
    this.#used.add(number);
    return this.#slot(number);
  }

  /** Removes every network with this agent's name whose id is not in `keep`; answers how many. */
  async reclaim(keep: ReadonlySet<string>): Promise<number> {
    let count = 0;
    const links = await this.#run("ip", ["-o", "link", "show", "type", "veth"]);
    for (const [, number] of links.matchAll(new RegExp(`: ${this.#interfaces}(\\d+)@`, "g"))) {
      if (keep.has(number as string) || this.#used.has(Number(number))) continue;
      await this.#remove(Number(number));
      count++;
    }
    const names = await run("ls", ["/run/netns"]).catch(() => "");
    for (const name of names.split("\n").filter((entry) => entry.startsWith(`mags-${this.#options.instance}-`))) {
      const number = name.split("-")[2] as string;
      if (!keep.has(number) && !this.#used.has(Number(number))) await this.#remove(Number(number));
    }
    return count;
  }

  /** Takes the firewall away when no sandbox is left; with some it stays, for they must not be without. */
  async close(): Promise<void> {
    if (this.#used.size === 0) await this.#run("nft", ["delete", "table", "inet", this.#table]);
  }

  get #table() {
    return `mags_${this.#options.instance}`;
  }

  /** interface names have at most 15 characters */
  get #interfaces() {
    return `mg${this.#options.instance.slice(0, 6)}-`;
  }

  #name(number: number) {
    return `mags-${this.#options.instance}-${number}`;
  }

  #slot(number: number): NetworkSlot {
    const at = (offset: number) => `${RANGE_PREFIX}.${(number * 4) >> 8}.${((number * 4) & 255) + offset}`;
    const name = this.#name(number);
    return {
      id: String(number),
      netnsPath: `/run/netns/${name}`,
      gateway: at(1),
      address: at(2),
      hostInterface: `${this.#interfaces}${number}`,
      handOver: async () => void (await this.#run("ip", ["netns", "del", name])),
      release: async () => {
        await this.#remove(number);
        this.#used.delete(number);
      },
    };
  }

  async #remove(number: number): Promise<void> {
    await this.#run("ip", ["link", "del", `${this.#interfaces}${number}`]).catch(() => undefined);
    await this.#run("ip", ["netns", "del", this.#name(number)]).catch(() => undefined);
    await run("rm", ["-f", `/run/netns/${this.#name(number)}`]);
  }

  #run(file: string, args: string[], input?: string | string[]): Promise<string> {
    const [command = file, ...rest] = [...(this.#options.prefix ?? []), file, ...args];
    if (input === undefined) return run(command, rest);
    return run(command, rest, { stdin: "pipe", input: Array.isArray(input) ? input.join("\n") : input });
  }
}

/**
 * What is set inside the namespace before anyone lives there. Low ports are open to all, because the sandbox's root has no
 * power over a namespace that the host owns; IPv6 is off, for there is no route that the firewall would know.
 */
const INSIDE = `
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 || true
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range
printf '%s\\n' "link set lo up" "addr add $1/30 dev eth0" "link set eth0 up" "route add default via $2" | ip -batch -
`;

/** The host's resolvers that can be reached from elsewhere than the host itself. */
async function hostResolvers(): Promise<string[]> {
  for (const file of ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]) {
    const text = await readFile(file, "utf8").catch(() => "");
    const found = [...text.matchAll(/^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/gm)].map((match) => match[1] as string);
    const usable = found.filter((address) => !address.startsWith("127."));
    if (usable.length > 0) return usable;
  }
  return [];
}
