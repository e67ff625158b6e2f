export interface TrafficOptions {
  table: string;
  /** start of the host-side interfaces' names */
  interfaces: string;
  /** addresses of sandboxes, CIDR */
  range: string;
  /** runs a program in the host's network with its input, and answers its output */
  run(file: string, args: string[], input?: string): Promise<string>;
}

/**
 * What each sandbox has sent to other hosts, counted by the kernel after every firewall has had its say. The table is apart from
 * the agent's other rules, which every start replaces: counting goes on while no agent is there. Many calls at a time are one
 * process of nft.
 */
export class Traffic {
  readonly #options: TrafficOptions;
  #after: Promise<unknown> = Promise.resolve();
  #reading: Promise<Map<string, number>> | undefined;
  #forgetting: Promise<void> | undefined;
  readonly #forgotten = new Set<string>();

  private constructor(options: TrafficOptions) {
    this.#options = options;
  }

  static async open(options: TrafficOptions): Promise<Traffic> {
    await options.run("nft", ["-f", "-"], rules(options));
    return new Traffic(options);
  }

  /** `bytes` of IP packets by address, of each that has sent any. */
  sent(): Promise<Map<string, number>> {
    this.#reading ??= this.#inTurn(() => {
      this.#reading = undefined;
      return this.#read();
    });
    return this.#reading;
  }

  /** The address begins anew. */
  forget(...addresses: string[]): Promise<void> {
    for (const address of addresses) this.#forgotten.add(address);
    this.#forgetting ??= this.#inTurn(() => {
      this.#forgetting = undefined;
      return this.#forget();
    });
    return this.#forgetting;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#after.then(work);
    this.#after = done.catch(() => undefined);
    return done;
  }

  async #read(): Promise<Map<string, number>> {
    const { table, run } = this.#options;
    const { nftables } = JSON.parse(await run("nft", ["-j", "list", "set", "inet", table, "sent"])) as Listing;
    const elements = nftables.flatMap(({ set }) => set?.elem ?? []);
    return new Map(elements.map(({ elem }) => [elem.val, elem.counter.bytes]));
  }

  async #forget(): Promise<void> {
    const addresses = [...this.#forgotten].join(", ");
    this.#forgotten.clear();
    const element = `element inet ${this.#options.table} sent { ${addresses} }`;
    // Added first, for only what is there can be deleted.
    if (addresses !== "") await this.#options.run("nft", ["-f", "-"], `add ${element}\ndelete ${element}\n`);
  }
}

interface Listing {
  nftables: { set?: { elem?: { elem: { val: string; counter: { bytes: number } } }[] } }[];
}

const rules = ({ table, interfaces, range }: TrafficOptions): string => `
table inet ${table} {
  set sent { type ipv4_addr; size 65536; flags dynamic; counter; }
  chain forward {
    type filter hook forward priority 100; policy accept;
  }
}
flush chain inet ${table} forward
add rule inet ${table} forward iifname "${interfaces}*" ip saddr ${range} update @sent { ip saddr }
`;
