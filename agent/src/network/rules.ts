/**
 * Ranges that a sandbox must not reach: this host's neighbours, other machines of the operator, cloud metadata, and what
 * is no destination at all. Source: the IANA special-purpose address registry.
 */
const CLOSED = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/3",
];

export interface RuleOptions {
  table: string;
  /** start of the host-side interfaces' names */
  interfaces: string;
  /** addresses of sandboxes, CIDR */
  range: string;
  /** resolvers that sandboxes may ask, port 53 */
  resolvers: string[];
}

/**
 * The whole firewall of one agent as one nftables transaction: replaced at once, never half there. Sandboxes reach the
 * outside by NAT and nothing else: not the host, not each other, no private range.
 */
export function ruleset({ table, interfaces, range, resolvers }: RuleOptions): string {
  const from = `iifname "${interfaces}*"`;
  const dns = resolvers.length > 0 ? `ip daddr { ${resolvers.join(", ")} } meta l4proto { tcp, udp } th dport 53 accept` : "";
  return `
table inet ${table}
delete table inet ${table}
table inet ${table} {
  chain input {
    type filter hook input priority -10; policy accept;
    ${from} ct state established,related accept
    ${from} drop
  }
  chain forward {
    type filter hook forward priority -10; policy accept;
    ${from} jump egress
    oifname "${interfaces}*" ct state established,related accept
    oifname "${interfaces}*" drop
  }
  chain egress {
    meta nfproto ipv6 drop
    ip saddr != ${range} drop
    oifname "${interfaces}*" drop
    ct state established,related accept
    ${dns}
    ip daddr { ${CLOSED.join(", ")} } drop
    accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${range} oifname != "${interfaces}*" masquerade
  }
}
`;
}
