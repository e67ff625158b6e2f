import { mkdir, readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import {
  type Cleanup,
  inNetns,
  type Logger,
  openSocket,
  RouteTables,
  run,
  SyscallError,
  setNetworkSetting,
} from "@mags/kit";
import { AddressRange, type EgressAllow } from "./addresses.ts";
import { Numbers } from "./numbers.ts";
import { Policies } from "./policy/index.ts";
import { chooseResolvers, hostResolvers, type Resolvers, resolvConf } from "./resolvers.ts";
import { droppingTables, ruleset } from "./rules.ts";
import { forgetNetns, type NetworkSlot, wire } from "./slot.ts";
import { Traffic } from "./traffic.ts";

export { type EgressAllow, parseEgressAllow } from "./addresses.ts";
export type { NetworkSlot } from "./slot.ts";

export interface NetworkOptions {
  /** name of this agent among others on the machine; eight characters */
  instance: string;
  logger: Logger;
  /** addresses of sandboxes, 10.213.0.0/16 by default; agents on one machine may share it */
  range?: string;
  /** addresses opened among the closed ranges */
  allow?: readonly EgressAllow[];
  /** resolvers of sandboxes; those of the host by default */
  resolvers?: readonly string[];
  /** path of the network namespace to work in, the caller's by default */
  netns?: string;
}

const NETNS_DIR = "/run/netns";
/** How long the kernel may take to remove a namespace's interfaces when its last process has gone, `ms`. */
const VANISH_MS = 2000;

/**
 * Networks of sandboxes. The namespace has a name only until a container lives in it. The agent's private mount namespace
 * holds that name, so a killed agent leaves at most an empty file; `reclaim` takes it. What is taken is asked of the
 * kernel, never of a file: the route to a sandbox's address exists once per machine, and with it goes the slot's number.
 */
export class Network {
  readonly #options: NetworkOptions;
  readonly #range: AddressRange;
  readonly #resolvers: Resolvers;
  readonly #numbers: Numbers;
  #policies: Policies | undefined;
  #traffic: Traffic | undefined;

  private constructor(options: NetworkOptions, resolvers: readonly string[]) {
    this.#options = options;
    this.#range = new AddressRange(options.range ?? "10.213.0.0/16");
    this.#numbers = new Numbers(this.#range.slots);
    this.#resolvers = chooseResolvers(resolvers, this.#range.dns);
  }

  /** Sets forwarding and the firewall. Throws when nftables or forwarding is not to be had. */
  static async open(options: NetworkOptions): Promise<Network> {
    const network = new Network(options, options.resolvers ?? (await hostResolvers()));
    if (network.#resolvers.nameservers.length === 0)
      options.logger.warn("the host has no IPv4 resolver: sandboxes find no names");
    const rules = ruleset({
      table: `mags_${options.instance}`,
      interfaces: network.#interfaces,
      range: network.#range.cidr,
      resolvers: network.#resolvers,
      allow: options.allow ?? [],
    });
    // Rules first: nothing is forwarded without them.
    await network.#run("nft", ["-f", "-"], rules);
    network.#policies = await Policies.open({
      table: network.#policyTable,
      upstream: network.#resolvers.loopback ? [network.#resolvers.loopback] : network.#resolvers.nameservers,
      open: (kind, address) => network.#onHost(() => openSocket(kind, address)),
      run: (file, args, input) => network.#run(file, args, input),
    });
    network.#traffic = await Traffic.open({
      table: network.#trafficTable,
      interfaces: network.#interfaces,
      range: network.#range.cidr,
      run: (file, args, input) => network.#run(file, args, input),
    });
    network.#onHost(() => setNetworkSetting("ipv4/ip_forward", "1"));
    await mkdir(NETNS_DIR, { recursive: true });
    await network.#look();
    const dropping = droppingTables(await network.#run("nft", ["-j", "list", "chains"]));
    if (dropping.length > 0)
      options.logger.warn({ tables: dropping }, "another firewall may drop what sandboxes send; see docs/network.md");
    return network;
  }

  /** `/etc/resolv.conf` of a sandbox. */
  resolvConf(): string {
    return resolvConf(this.#resolvers);
  }

  /** A new network; its undo is on `cleanup`. */
  async acquire(cleanup: Cleanup): Promise<NetworkSlot> {
    for (let tries = 1; ; tries++) {
      const number = this.#numbers.take();
      try {
        const slot = await this.#make(number);
        cleanup.add("network", () => slot.release());
        return slot;
      } catch (error) {
        this.#numbers.give(number);
        // Another agent took the same address in this moment: look again.
        if (tries === 5 || !(error instanceof SyscallError && error.code === "EEXIST")) throw error;
        await this.#look();
      }
    }
  }

  /** The network of a sandbox that an earlier agent process made. */
  adopt(id: string): NetworkSlot {
    const number = Number(id);
    this.#numbers.adopt(number);
    return this.#slot(number);
  }

  /** Removes every network with this agent's name whose id is not in `keep`; answers how many. */
  async reclaim(keep: ReadonlySet<string>): Promise<number> {
    const own = await this.#look();
    const left = [...own].filter((number) => !keep.has(String(number)) && !this.#numbers.owns(number));
    for (const number of left) await this.#remove(number);
    for (const number of this.#policies?.known ?? [])
      if (!keep.has(String(number)) && !this.#numbers.owns(number)) await this.#policies?.forget(this.#policed(number));
    const counted = [...((await this.#traffic?.sent())?.keys() ?? [])].filter((address) => {
      const number = this.#range.slotOf(address);
      return number === undefined || !(keep.has(String(number)) || this.#numbers.owns(number));
    });
    await this.#traffic?.forget(...counted);
    await this.#look();
    return left.length;
  }

  /** Networks with this agent's name that are on the machine, and whether a living slot has each. */
  async taken(): Promise<{ id: string; held: boolean }[]> {
    return [...(await this.#look())].map((number) => ({ id: String(number), held: this.#numbers.owns(number) }));
  }

  /** Tables of the firewall that ought to be there and are not. */
  async missingTables(): Promise<string[]> {
    const tables = await this.#run("nft", ["list", "tables", "inet"]);
    const there = new Set(tables.split("\n").map((line) => line.trim().split(" ").at(-1)));
    return this.#tables.filter((table) => !there.has(table));
  }

  /** Takes the firewall away when no sandbox is left; with some it stays, for they must not be without. */
  async close(): Promise<void> {
    this.#policies?.close();
    if ((await this.#look()).size > 0) return;
    for (const table of this.#tables) await this.#run("nft", ["delete", "table", "inet", table]);
  }

  /** interface names have at most 15 characters */
  get #interfaces() {
    return `mg${this.#options.instance.slice(0, 6)}-`;
  }

  get #policyTable() {
    return `mags_${this.#options.instance}_policies`;
  }

  get #trafficTable() {
    return `mags_${this.#options.instance}_traffic`;
  }

  get #tables() {
    return [`mags_${this.#options.instance}`, this.#policyTable, this.#trafficTable];
  }

  #policed(number: number) {
    return { number, hostInterface: `${this.#interfaces}${number}` };
  }

  get #names() {
    return `mags-${this.#options.instance}-`;
  }

  #path(number: number) {
    return `${NETNS_DIR}/${this.#names}${number}`;
  }

  async #make(number: number): Promise<NetworkSlot> {
    const slot = this.#slot(number);
    try {
      this.#onHost((tables) => {
        wire(tables, slot);
        if (this.#resolvers.loopback) setNetworkSetting(`ipv4/conf/${slot.hostInterface}/route_localnet`, "1");
      });
    } catch (error) {
      await this.#remove(number).catch((cause) => this.#options.logger.warn({ err: cause }, "half a network stays"));
      throw error;
    }
    return slot;
  }

  /** Asks the kernel which numbers are taken; answers those with this agent's name. */
  async #look(): Promise<Set<number>> {
    const [routes, links, files] = await Promise.all([
      this.#run("ip", ["-4", "route", "show", "root", this.#range.cidr]),
      this.#run("ip", ["-o", "link", "show", "type", "veth"]),
      readdir(NETNS_DIR).catch(() => []),
    ]);
    const own = new Set([
      ...numbersIn(links, `: ${this.#interfaces}`, "@"),
      ...numbersIn(files.join("\n"), this.#names, "$"),
    ]);
    const routed = [...routes.matchAll(/^([\d.]+) /gm)].flatMap(
      ([, address = ""]) => this.#range.slotOf(address) ?? [],
    );
    this.#numbers.seen([...own, ...routed]);
    return own;
  }

  #slot(number: number): NetworkSlot {
    let released: Promise<void> | undefined;
    return {
      id: String(number),
      netnsPath: this.#path(number),
      gateway: this.#range.gateway(number),
      address: this.#range.address(number),
      hostInterface: `${this.#interfaces}${number}`,
      handOver: () => forgetNetns(this.#path(number)),
      restrict: async (policy) => this.#policies?.restrict(this.#policed(number), this.#range.gateway(number), policy),
      sent: async () => (await this.#traffic?.sent())?.get(this.#range.address(number)) ?? 0,
      // Once: by a second call the number may be another's.
      release: () => (released ??= this.#free(number)),
    };
  }

  async #free(number: number): Promise<void> {
    await this.#vanish(number);
    await this.#policies?.forget(this.#policed(number));
    await this.#traffic?.forget(this.#range.address(number));
    this.#numbers.give(number);
  }

  /**
   * With a namespace's last process and name go its interfaces and their routes. The kernel does that by itself a moment
   * later; asked for it would let us wait, and everything else here with us.
   */
  async #vanish(number: number): Promise<void> {
    await forgetNetns(this.#path(number));
    const { hostInterface } = this.#slot(number);
    for (let waited = 0; waited < VANISH_MS; waited += 20) {
      if (!this.#onHost((tables) => tables.hasLink(hostInterface))) return;
      await delay(20);
    }
    await this.#remove(number);
  }

  /** Host interface first: with it goes its other end and the route, so nothing leaves from here on. */
  async #remove(number: number): Promise<void> {
    this.#onHost((tables) => tables.removeLink(this.#slot(number).hostInterface));
    await forgetNetns(this.#path(number));
  }

  #onHost<T>(action: (tables: RouteTables) => T): T {
    const connected = () => {
      const tables = new RouteTables();
      try {
        return action(tables);
      } finally {
        tables.close();
      }
    };
    return this.#options.netns === undefined ? connected() : inNetns(this.#options.netns, connected);
  }

  #run(file: string, args: string[], input?: string): Promise<string> {
    const { netns } = this.#options;
    return netns === undefined
      ? run(file, args, { input })
      : run("nsenter", [`--net=${netns}`, file, ...args], { input });
  }
}

/** Numbers in `text` that stand between `before` and `after`. */
const numbersIn = (text: string, before: string, after: string): number[] =>
  [...text.matchAll(new RegExp(`${before}(\\d+)${after}`, "gm"))].map((match) => Number(match[1]));
