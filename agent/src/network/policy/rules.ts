import type { AllowEntry } from "@mags/protocol";

/** What is known of a slot that has a policy. */
export interface PolicedSlot {
  number: number;
  hostInterface: string;
}

/** Where a slot's questions to the DNS are to arrive, on the host. */
export interface ResolverAddress {
  address: string;
  udpPort: number;
  tcpPort: number;
}

/**
 * The table of policies. It is apart from the agent's other rules, which every start replaces: what a slot may reach
 * holds while no agent is there. It runs before the others and only takes away.
 *
 * A slot with a policy has chains of its own, to which these maps lead by its interface; all others pass by. Addresses
 * that the resolver has answered are in two sets of the slot, with the time until they are forgotten.
 */
export const base = (table: string): string => `
table inet ${table} {
  map forwarding { type ifname : verdict; }
  map arriving { type ifname : verdict; }
  map asking { type ifname : verdict; }
  chain forward {
    type filter hook forward priority -11; policy accept;
  }
  chain input {
    type filter hook input priority -11; policy accept;
  }
  chain dns {
    type nat hook prerouting priority dstnat - 1; policy accept;
  }
}
flush chain inet ${table} forward
flush chain inet ${table} input
flush chain inet ${table} dns
add rule inet ${table} forward iifname vmap @forwarding
add rule inet ${table} input iifname vmap @arriving
add rule inet ${table} dns iifname vmap @asking
`;

/** Puts a policy in force, or another in the place of one; addresses that are known already stay so. */
export function restrict(
  table: string,
  { number, hostInterface }: PolicedSlot,
  allow: readonly AllowEntry[],
  resolver: ResolverAddress | undefined,
): string {
  const ranges = allow.flatMap((entry) => ("range" in entry ? [entry] : []));
  const open = ranges.map(({ range, port }) => `ip daddr ${range} ${port === undefined ? "" : onPort(port)} accept`);
  const dns = resolver
    ? [
        `meta l4proto udp udp dport 53 dnat ip to ${resolver.address}:${resolver.udpPort}`,
        `meta l4proto tcp tcp dport 53 dnat ip to ${resolver.address}:${resolver.tcpPort}`,
      ]
    : [];
  const arriving = resolver ? ["ct status dnat accept"] : [];
  return `
table inet ${table} {
  set names${number} { type ipv4_addr; flags timeout; }
  set ports${number} { type ipv4_addr . inet_service; flags timeout; }
  chain forward${number} { }
  chain input${number} { }
  chain dns${number} { }
}
flush chain inet ${table} forward${number}
flush chain inet ${table} input${number}
flush chain inet ${table} dns${number}
table inet ${table} {
  chain forward${number} {
    ct state established,related accept
    ${open.join("\n    ")}
    ip daddr @names${number} accept
    meta l4proto { tcp, udp } ip daddr . th dport @ports${number} accept
    reject with icmp type admin-prohibited
  }
  chain input${number} {
    ct state established,related accept
    ${arriving.join("\n    ")}
    reject with icmp type admin-prohibited
  }
  chain dns${number} {
    ${dns.join("\n    ")}
  }
}
${element("add", table, "forwarding", hostInterface, `goto forward${number}`)}
${element("add", table, "arriving", hostInterface, `goto input${number}`)}
${element("add", table, "asking", hostInterface, `goto dns${number}`)}
`;
}

const onPort = (port: number) => `meta l4proto { tcp, udp } th dport ${port}`;

const element = (verb: "add" | "delete", table: string, map: string, hostInterface: string, verdict: string): string =>
  `${verb} element inet ${table} ${map} { "${hostInterface}" : ${verdict} }`;

/** Takes a policy away; it must be there. */
export function forget(table: string, { number, hostInterface }: PolicedSlot): string {
  const maps = { forwarding: "forward", arriving: "input", asking: "dns" };
  const elements = Object.entries(maps).map(([map, chain]) =>
    element("delete", table, map, hostInterface, `goto ${chain}${number}`),
  );
  const chains = Object.values(maps).map((chain) => `delete chain inet ${table} ${chain}${number}`);
  const sets = ["names", "ports"].map((set) => `delete set inet ${table} ${set}${number}`);
  return `${[...elements, ...chains, ...sets].join("\n")}\n`;
}

/** Lets a slot reach addresses for so many seconds, on one port or on all. */
export function learn(
  table: string,
  number: number,
  found: readonly { address: string; port: number | undefined; seconds: number }[],
): string {
  return found
    .map(({ address, port, seconds }) => {
      const set = `inet ${table} ${port === undefined ? "names" : "ports"}${number}`;
      const key = port === undefined ? address : `${address} . ${port}`;
      // Adding one that is there would leave its time as it was.
      return `add element ${set} { ${key} }\ndelete element ${set} { ${key} }\nadd element ${set} { ${key} timeout ${seconds}s }`;
    })
    .join("\n");
}

/** Numbers of the slots that have a policy, by the answer of `nft -j list chains`. */
export function policed(json: string, table: string): Set<number> {
  const { nftables } = JSON.parse(json) as { nftables: { chain?: { table: string; name: string } }[] };
  const names = nftables.flatMap(({ chain }) => (chain?.table === table ? [chain.name] : []));
  return new Set(names.flatMap((name) => /^forward(\d+)$/.exec(name)?.[1] ?? []).map(Number));
}
