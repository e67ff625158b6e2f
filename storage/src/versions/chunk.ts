import { availableParallelism } from "node:os";
import { Threads } from "@mags/kit";
import { ObjectError } from "../objects/index.ts";
import type { calls } from "./chunk-thread.ts";
import { persistently, type VersionContext } from "./context.ts";
import { VersionError } from "./errors.ts";
import { chunkKey } from "./manifest.ts";

/** Reads and compresses, or verifies and writes, chunks. */
export const chunkThreads = new Threads<typeof calls>(
  new URL("./chunk-thread.ts", import.meta.url),
  Math.min(availableParallelism(), 8),
);

/** Stores a chunk's object. */
export async function putChunk(body: Uint8Array, hash: string, epoch: number, ctx: VersionContext): Promise<void> {
  const { objects, org, signal } = ctx;
  await persistently(ctx, () => objects.put(chunkKey(org, hash, epoch), body, { signal }));
}

/** Which chunk it is, where its bytes go, and how many they are. */
export interface Wanted {
  hash: string;
  epoch: number;
  length: number;
  fd: number;
  positions: number[];
}

/** Fetches a chunk, makes sure that it is what was stored, and writes it. Throws VersionError with its key when it is not. */
export async function fetchChunk({ hash, epoch, length, fd, positions }: Wanted, ctx: VersionContext): Promise<void> {
  const key = chunkKey(ctx.org, hash, epoch);
  const body = await getObject(key, ctx);
  const wrong = await chunkThreads.call("unpack", body, hash, length, fd, positions);
  if (wrong === undefined) return;
  throw new VersionError("damaged", `the chunk ${key} in ${ctx.objects.description} is damaged: ${wrong}`, { key });
}

/** An object of a version; that it is not there is an error of the version. */
export async function getObject(key: string, ctx: VersionContext): Promise<Buffer> {
  const { objects, signal } = ctx;
  try {
    return await persistently(ctx, () => objects.get(key, { signal }));
  } catch (error) {
    if (!(error instanceof ObjectError && error.code === "not_found")) throw error;
    throw new VersionError("missing", `${key} is missing in ${objects.description}`, { key, cause: error });
  }
}
