import { checkAllow, type EgressAllow } from "./addresses.ts";
import type { Resolvers } from "./resolvers.ts";

/**
 * Ranges that a sandbox must not reach: this host's neighbours, other machines of the operator, cloud metadata, and what
 * is no destination at all. Source: the IANA special-purpose address registry.
 */
const CLOSED = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  // Azure gives a machine its secrets from this address, which looks like any public one.
  "168.63.129.16/32",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/3",
];

/** Connections of one sandbox at a time: the kernel's table of them is one for the whole machine, 262,144 by default. */
const MAX_FLOWS = 8192;

export interface RuleOptions {
  table: string;
  /** start of the host-side interfaces' names */
  interfaces: string;
  /** addresses of sandboxes, CIDR */
  range: string;
  resolvers: Resolvers;
  allow: readonly EgressAllow[];
}

/**
 * The whole firewall of one agent as one nftables transaction: replaced at once, never half there. Sandboxes reach the
 * outside by NAT and nothing else: not the host, not each other, no private range.
 *
 * The rules know slots by the start of their interfaces' names, so making a slot changes no rule. They run before those
 * of others (priority -10) and can only take away: what another table drops stays dropped.
 */
export function ruleset({ table, interfaces, range, resolvers, allow }: RuleOptions): string {
  const from = `iifname "${interfaces}*"`;
  const to = `oifname "${interfaces}*"`;
  const open = [
    ...(resolvers.loopback ? [] : resolvers.nameservers.map((address) => ({ address, port: 53 }))),
    ...allow.map((entry) => checkAllow(entry)),
  ].map(({ address, port }) => `ip daddr ${address} meta l4proto { tcp, udp } th dport ${port} accept`);
  return `
table inet ${table}
delete table inet ${table}
table inet ${table} {
  # Only the slot's own address may come from its interface: the route back to any other does not lead there.
  chain spoofing {
    type filter hook prerouting priority raw; policy accept;
    ${from} meta nfproto ipv6 drop
    ${from} fib saddr . iif oif missing drop
    ${from} ip daddr 127.0.0.0/8 drop
  }
  # The host itself: answers to its own connections, and what is opened by address.
  chain input {
    type filter hook input priority -10; policy accept;
    ${from} jump host
  }
  chain host {
    ct state established,related accept
    ${open.join("\n    ")}
    # Questions to the DNS that a sandbox's policy has led to a resolver of the agent.
    ct status dnat ip daddr ${range} accept
    ${resolvers.loopback ? `ct status dnat ip daddr ${resolvers.loopback} meta l4proto { tcp, udp } th dport 53 accept` : ""}
    drop
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    ${from} jump egress
    ${to} ct state established,related accept
    ${to} drop
  }
  set flows {
    type ipv4_addr
    size 65535
    flags dynamic
  }
  chain egress {
    ip saddr != ${range} drop
    ${to} drop
    ct state established,related accept
    ct state new add @flows { ip saddr ct count over ${MAX_FLOWS} } drop
    tcp flags syn tcp option maxseg size set rt mtu
    ${open.join("\n    ")}
    ip daddr { ${CLOSED.join(", ")} } drop
    accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${range} ${to.replace("oifname", "oifname !=")} masquerade
  }
  ${resolvers.loopback ? forwardDns(from, resolvers.nameservers[0] as string, resolvers.loopback) : ""}
}
`;
}

/** Rewrites questions to `dns` so that they arrive at a resolver on loopback as the host's own. */
const forwardDns = (from: string, dns: string, loopback: string): string => `
  chain dns {
    type nat hook prerouting priority dstnat; policy accept;
    ${from} ip daddr ${dns} meta l4proto { tcp, udp } th dport 53 dnat ip to ${loopback}
  }
  chain dns_source {
    type nat hook input priority 100; policy accept;
    ${from} ip daddr ${loopback} snat ip to 127.0.0.1
  }
`;

/** Tables, by the answer of `nft -j list chains`, that drop forwarded packets unless they know them: ours cannot overrule that. */
export function droppingTables(json: string): string[] {
  const { nftables } = JSON.parse(json) as {
    nftables: { chain?: { family: string; table: string; hook?: string; policy?: string } }[];
  };
  const chains = nftables.flatMap(({ chain }) => (chain?.hook === "forward" && chain.policy === "drop" ? [chain] : []));
  return chains
    .filter(({ family }) => family === "ip" || family === "inet")
    .map(({ family, table }) => `${family} ${table}`);
}
