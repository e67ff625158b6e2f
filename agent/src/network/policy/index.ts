import { type NetworkPolicy, readAllowEntry } from "@mags/protocol";
import { Resolver, type ResolverOptions } from "./resolver.ts";
import { base, forget, learn, type PolicedSlot, policed, restrict } from "./rules.ts";

export interface PolicyOptions {
  table: string;
  upstream: readonly string[];
  open: ResolverOptions["open"];
  /** runs a program in the host's network with its input, and answers its output */
  run(file: string, args: string[], input?: string): Promise<string>;
}

/** Which slots may reach less than others. */
export class Policies {
  readonly #options: PolicyOptions;
  readonly #resolvers = new Map<number, Resolver>();
  /** slots that have a policy, from this process or an earlier one */
  readonly #known: Set<number>;

  private constructor(options: PolicyOptions, known: Set<number>) {
    this.#options = options;
    this.#known = known;
  }

  static async open(options: PolicyOptions): Promise<Policies> {
    await options.run("nft", ["-f", "-"], base(options.table));
    return new Policies(options, policed(await options.run("nft", ["-j", "list", "chains"]), options.table));
  }

  get known(): ReadonlySet<number> {
    return this.#known;
  }

  /** Puts a policy in force, also again after a restart of the agent. `gateway` is the slot's address on the host. */
  async restrict(slot: PolicedSlot, gateway: string, policy: NetworkPolicy): Promise<void> {
    if (policy === "default") return;
    const { table, upstream, open } = this.#options;
    const texts = policy === "none" ? [] : policy.allow;
    const allow = texts.flatMap((text) => readAllowEntry(text) ?? []);
    const named = allow.some((entry) => "name" in entry);
    const resolver = named
      ? await Resolver.open({
          allow,
          upstream,
          open,
          address: gateway,
          learn: async (found) => {
            if (found.length > 0) await this.#nft(learn(table, slot.number, found));
          },
        })
      : undefined;
    this.#resolvers.get(slot.number)?.close();
    this.#resolvers.delete(slot.number);
    if (resolver) this.#resolvers.set(slot.number, resolver);
    this.#known.add(slot.number);
    await this.#nft(restrict(table, slot, allow, resolver && { address: gateway, ...resolver.ports }));
  }

  /** Takes the policy of a slot that has gone away, if it had one. */
  async forget(slot: PolicedSlot): Promise<void> {
    this.#resolvers.get(slot.number)?.close();
    this.#resolvers.delete(slot.number);
    if (this.#known.delete(slot.number)) await this.#nft(forget(this.#options.table, slot));
  }

  /** Stops answering; the rules stay, for sandboxes that go on. */
  close(): void {
    for (const resolver of this.#resolvers.values()) resolver.close();
    this.#resolvers.clear();
  }

  #nft(rules: string): Promise<string> {
    return this.#options.run("nft", ["-f", "-"], rules);
  }
}
