import { isIPv4 } from "node:net";

/** What operators open to sandboxes among the closed ranges. */
export interface EgressAllow {
  /** IPv4 address or CIDR */
  address: string;
  port: number;
}

/** Reads `MAGS_EGRESS_ALLOW`: `address:port` or `address/bits:port`, with commas between. Throws naming what is wrong. */
export function parseEgressAllow(text: string): EgressAllow[] {
  const entries = text.split(",").map((entry) => entry.trim());
  return entries.filter(Boolean).map((entry) => {
    const colon = entry.lastIndexOf(":");
    return checkAllow({ address: entry.slice(0, colon), port: Number(entry.slice(colon + 1)) }, entry);
  });
}

/** The same entry, once it is known to be safe in a firewall rule. */
export function checkAllow(entry: EgressAllow, shown = `${entry.address}:${entry.port}`): EgressAllow {
  const [address = "", bits = "32", ...rest] = entry.address.split("/");
  const valid = isIPv4(address) && /^\d{1,2}$/.test(bits) && Number(bits) <= 32 && rest.length === 0;
  if (!valid || !Number.isInteger(entry.port) || entry.port < 1 || entry.port > 65_535) {
    throw new Error(`egress allow: "${shown}" is not <IPv4 address or CIDR>:<port>`);
  }
  return entry;
}

/** Addresses of slots: four to each, gateway at 1 and sandbox at 2; the last four of the range serve DNS. */
export class AddressRange {
  readonly cidr: string;
  /** number of slots */
  readonly slots: number;
  /** where sandboxes ask when the host's own resolver listens on its loopback only */
  readonly dns: string;
  readonly #first: number;

  constructor(cidr: string) {
    const [address = "", bits = ""] = cidr.split("/");
    const size = 2 ** (32 - Number(bits));
    this.#first = isIPv4(address) ? toNumber(address) : Number.NaN;
    // Longer than a /29 leaves no slot; shorter than a /16 makes interface names of more than 15 characters.
    if (!/^\d+$/.test(bits) || Number(bits) < 16 || Number(bits) > 29 || this.#first % size !== 0) {
      throw new Error(`sandbox range "${cidr}" is not an IPv4 network of 16 to 29 bits`);
    }
    this.cidr = cidr;
    this.slots = size / 4 - 1;
    this.dns = this.address(this.slots);
  }

  gateway(slot: number): string {
    return toText(this.#first + slot * 4 + 1);
  }

  address(slot: number): string {
    return toText(this.#first + slot * 4 + 2);
  }

  /** The slot that has this address, or undefined. */
  slotOf(address: string): number | undefined {
    const offset = toNumber(address) - this.#first;
    return offset >= 0 && offset < this.slots * 4 && offset % 4 === 2 ? (offset - 2) / 4 : undefined;
  }
}

const toNumber = (address: string): number => address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
const toText = (value: number): string => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
