import { randomBytes } from "node:crypto";
import ssh2 from "ssh2";
import type { Guest } from "./guest.ts";

export interface Key {
  /** in OpenSSH's format */
  privateKey: string;
  /** `ssh-ed25519 AAAA…` */
  publicKey: string;
}

const { generateKeyPairSync, parseKey } = ssh2.utils;

export function makeKey(): Key {
  for (;;) {
    const made = generateKeyPairSync("ed25519", { comment: "machine" });
    // ssh2 1.17 now and then writes one that it cannot read itself.
    if (parseKey(made.private) instanceof Error) continue;
    return { privateKey: `${made.private.trim()}\n`, publicKey: made.public.trim() };
  }
}

/** A locally administered MAC address that no other machine has. */
export const makeMac = (): string =>
  `02:${randomBytes(5)
    .toString("hex")
    .replace(/..(?!$)/g, "$&:")}`;

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
  const time = BigInt(Date.now()) * 1_000_000n;
  const lines = [name, address, gateway, mac, publicKey, time, randomBytes(64).toString("hex")];
  const said = await guest.run("identify", `${lines.join("\n")}\n`);
  const [, hostKey] = /^ssh-ed25519 (\S+)/m.exec(said) ?? [];
  if (!hostKey) throw new Error(`a machine has not said its host key: ${said.slice(-300)}`);
  return hostKey;
}
