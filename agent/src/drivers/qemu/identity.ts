import { randomBytes } from "node:crypto";
import type { Guest } from "./guest.ts";

/** Several machines at once share few processors, under emulation. */
const IDENTIFY_MS = 90_000;

/** A locally administered MAC address that no other machine has. */
export const makeMac = (): string =>
  `02:${randomBytes(5)
    .toString("hex")
    .replace(/..(?!$)/g, "$&:")}`;

/** The time now, `ns` since 1970, and 64 random bytes in hex, as the scripts in a machine read them. */
export const newTime = (): string[] => [String(BigInt(Date.now()) * 1_000_000n), randomBytes(64).toString("hex")];

export interface Identity {
  name: string;
  address: string;
  gateway: string;
  mac: string;
  publicKey: string;
}

/**
 * Makes a machine that has just been started one of its own; see images/vm/guest/identify. Answers its new host key. After
 * it the machine is at its new address, with the new keys. Throws GuestError.
 */
export async function identify(guest: Guest, identity: Identity): Promise<string> {
  const { name, address, gateway, mac, publicKey } = identity;
  const lines = [name, address, gateway, mac, publicKey, ...newTime()];
  const said = await guest.run("identify", `${lines.join("\n")}\n`, IDENTIFY_MS);
  const [, hostKey] = /^ssh-ed25519 (\S+)/m.exec(said) ?? [];
  if (!hostKey) throw new Error(`a machine has not said its host key: ${said.slice(-300)}`);
  return hostKey;
}
