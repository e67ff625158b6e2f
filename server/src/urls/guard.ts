import { createHash, randomBytes, scrypt } from "node:crypto";
import { promisify } from "node:util";
import { type DoorGuard, type OpenDoor, PASSWORD_HASH_BYTES } from "@mags/protocol";

const hashPassword = promisify<string, string, number, Buffer>(scrypt);
const USERNAME = "mags";

/** What the owner of a door is told once. */
export interface Secrets {
  access: DoorGuard["access"];
  token?: string;
  username?: string;
  password?: string;
}

/** Makes what a visitor must show, and keeps only hashes of it. */
export async function makeGuard(
  access: DoorGuard["access"],
  wanted: Pick<OpenDoor, "username" | "password">,
): Promise<{ guard: DoorGuard; secrets: Secrets }> {
  if (access === "public") return { guard: { access }, secrets: { access } };
  const secret = wanted.password ?? randomBytes(18).toString("base64url");
  if (access === "token") {
    const hash = createHash("sha256").update(secret).digest("hex");
    return { guard: { access, hash }, secrets: { access, token: secret } };
  }
  const username = wanted.username ?? USERNAME;
  const salt = randomBytes(16).toString("hex");
  const hash = (await hashPassword(secret, salt, PASSWORD_HASH_BYTES)).toString("hex");
  const shown = wanted.password === undefined ? { password: secret } : {};
  return { guard: { access, username, salt, hash }, secrets: { access, username, ...shown } };
}

/** What may be told of a guard at any time. */
export const describeGuard = (guard: DoorGuard): Secrets =>
  guard.access === "password" ? { access: guard.access, username: guard.username } : { access: guard.access };
