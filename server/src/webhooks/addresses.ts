import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";

/** Addresses that are no part of the public internet. */
const PRIVATE = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/128",
  "::1/128",
  "64:ff9b::/96",
  "64:ff9b:1::/48",
  "100::/64",
  "2001::/23",
  "2001:db8::/32",
  "2002::/16",
  "fc00::/7",
  "fe80::/10",
  "ff00::/8",
];

/** Which addresses may be connected to: public ones, and those of `allowed` networks. */
export class Addresses {
  readonly #private = listOf(PRIVATE);
  readonly #allowed: BlockList;

  constructor(allowed: string[]) {
    this.#allowed = listOf(allowed);
  }

  permits(address: string): boolean {
    // An IPv4 address in IPv6's clothes is that IPv4 address.
    const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
    const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
    if (isIP(plain) === 0) return false;
    return this.#allowed.check(plain, family) || !this.#private.check(plain, family);
  }

  /** A look-up for a connection that answers what is permitted and nothing else, so that no name leads elsewhere a moment later. */
  readonly lookup: LookupFunction = (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error) return done(error, "", 0);
      const good = found.filter(({ address }) => this.permits(address));
      const [first] = good;
      if (!first) return done(new Error(`${host} has no address that may be called (see MAGS_WEBHOOK_ALLOW)`), "", 0);
      if (options.all) return done(null, good);
      return done(null, first.address, first.family);
    });
  };
}

function listOf(networks: string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", bits] = network.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}
