import { createHash } from "node:crypto";
import { makeSshKey } from "@mags/kit";
import { ApiError } from "@mags/protocol";
import ssh2 from "ssh2";

const { parseKey } = ssh2.utils;
/** Shortest RSA key that is let in, `bits` */
const RSA_BITS = 2048;

export interface PublicKey {
  /** type and base 64, without the comment */
  line: string;
  comment: string;
  /** as `ssh-keygen -l` shows it */
  fingerprint: string;
}

/** A new ed25519 key pair in OpenSSH's format. */
export function generateKey(comment: string): { privateKey: string; publicKey: PublicKey } {
  const { privateKey, publicKey } = makeSshKey(comment);
  return { privateKey, publicKey: readPublicKey(publicKey) };
}

/** Reads a line of the form of ~/.ssh/id_….pub. Throws ApiError invalid_request that says what is wrong with it. */
export function readPublicKey(text: string): PublicKey {
  const wrong = (what: string) => new ApiError("invalid_request", `public_key ${what}`, "public_key");
  const line = text.trim();
  if (line.includes("PRIVATE KEY"))
    throw wrong("is a private key: never send that; send the line of the file that ends in .pub");
  if (/[\r\n]/.test(line)) throw wrong("must be one line, as the file that ends in .pub has it");
  const [type = "", encoded = "", ...comment] = line.split(/\s+/);
  if (!ACCEPTED.has(type))
    throw wrong(`must begin with one of ${[...ACCEPTED].join(", ")}, and not with options or another type of key`);
  const key = parseKey(`${type} ${encoded}`);
  if (key instanceof Error || Array.isArray(key)) throw wrong(`cannot be read: ${(key as Error).message ?? "bad key"}`);
  const blob = key.getPublicSSH();
  if (type === "ssh-rsa" && rsaBits(blob) < RSA_BITS) throw wrong(`must have at least ${RSA_BITS} bits`);
  return { line: `${type} ${blob.toString("base64")}`, comment: comment.join(" "), fingerprint: fingerprintOf(blob) };
}

const ACCEPTED = new Set([
  "ssh-ed25519",
  "ssh-rsa",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
]);

const fingerprintOf = (blob: Buffer) =>
  `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;

/** Size of the modulus, the third of the length-prefixed fields. */
function rsaBits(blob: Buffer): number {
  const exponentAt = 4 + blob.readUInt32BE(0);
  const modulusAt = exponentAt + 4 + blob.readUInt32BE(exponentAt);
  const modulus = blob.subarray(modulusAt + 4, modulusAt + 4 + blob.readUInt32BE(modulusAt));
  return modulus.toString("hex").replace(/^0+/, "").length * 4;
}
