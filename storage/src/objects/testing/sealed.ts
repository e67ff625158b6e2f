import { createHash, randomBytes } from "node:crypto";

/** A body that tells whether it is whole: the SHA-256 of the rest, and the rest, of `bytes`. */
export function sealed(bytes: number): Buffer {
  const content = randomBytes(bytes);
  return Buffer.concat([createHash("sha256").update(content).digest(), content]);
}

export function isSealed(body: Buffer): boolean {
  return createHash("sha256").update(body.subarray(32)).digest().equals(body.subarray(0, 32));
}
