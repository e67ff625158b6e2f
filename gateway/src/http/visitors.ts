import type { IncomingMessage } from "node:http";
import { BlockList, isIP, type Socket } from "node:net";
import type { Visitor } from "./headers.ts";

/** Tells who a visitor is: the address that connected, or the one that a trusted proxy in front of us names. */
export class Visitors {
  readonly #trusted = new BlockList();
  readonly #limit: number;
  readonly #open = new Map<string, number>();

  /** `proxies`: addresses or networks (`10.0.0.0/8`) to believe. `limit`: connections that one address may have open. */
  constructor(proxies: readonly string[], limit: number) {
    this.#limit = limit;
    for (const entry of proxies) {
      const [address = "", bits] = entry.split("/");
      const family = isIP(address) === 6 ? "ipv6" : "ipv4";
      if (bits === undefined) this.#trusted.addAddress(address, family);
      else this.#trusted.addSubnet(address, Number(bits), family);
    }
  }

  /** Counts a connection until it is closed; false when its address has too many. A trusted proxy may have any number. */
  admit(socket: Socket): boolean {
    const address = plain(socket.remoteAddress);
    if (this.#isTrusted(address)) return true;
    const open = this.#open.get(address) ?? 0;
    if (open >= this.#limit) return false;
    this.#open.set(address, open + 1);
    socket.once("close", () => {
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left > 0) this.#open.set(address, left);
      else this.#open.delete(address);
    });
    return true;
  }

  of(request: IncomingMessage): Visitor {
    const host = request.headers.host ?? "";
    const peer = plain(request.socket.remoteAddress);
    if (!this.#isTrusted(peer)) return { address: peer, protocol: "http", host };
    const protocol = request.headers["x-forwarded-proto"] === "https" ? "https" : "http";
    const named = String(request.headers["x-forwarded-for"] ?? "")
      .split(",")
      .map((part) => plain(part.trim()))
      .filter((part) => isIP(part) !== 0);
    // From the right: what stands left of the first address that is no proxy of ours could be anybody's claim.
    let at = named.length - 1;
    while (at > 0 && this.#isTrusted(named[at] as string)) at--;
    const address = named[at] ?? peer;
    return { address, protocol, host };
  }

  #isTrusted(address: string): boolean {
    const family = isIP(address);
    return family !== 0 && this.#trusted.check(address, family === 6 ? "ipv6" : "ipv4");
  }
}

/** An IPv4 address is written the same whichever kind of socket it came by. */
const plain = (address: string | undefined) => (address ?? "").replace(/^::ffff:(?=\d+\.)/i, "");
