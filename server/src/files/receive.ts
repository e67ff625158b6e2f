import { createHash } from "node:crypto";

/** Size of the objects that a file is cut into, `bytes`: what is in memory of each upload. */
export const PART_BYTES = 4 * 1024 * 1024;

/**
 * Cuts a stream into parts of `PART_BYTES` and hands each to `store`, one after the other, so that a slow store slows
 * the sender and not our memory. Throws what the stream and `store` throw.
 */
export async function receive(
  stream: AsyncIterable<Buffer>,
  store: (part: number, body: Buffer, bytesSoFar: number) => Promise<void>,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let pieces: Buffer[] = [];
  let [part, bytes, held] = [0, 0, 0];
  const flush = async (size: number) => {
    const body = Buffer.concat(pieces);
    await store(part++, body.subarray(0, size), bytes);
    pieces = size < body.length ? [body.subarray(size)] : [];
    held = body.length - size;
  };
  for await (const piece of stream) {
    hash.update(piece);
    pieces.push(piece);
    bytes += piece.length;
    held += piece.length;
    while (held >= PART_BYTES) await flush(PART_BYTES);
  }
  if (held > 0) await flush(held);
  return { bytes, sha256: hash.digest("hex") };
}
