import { inParallel } from "@mags/kit";
import { checkSignal } from "../objects/index.ts";
import { fetchChunk } from "./chunk.ts";
import type { VersionContext } from "./context.ts";
import { VersionError } from "./errors.ts";
import type { Manifest } from "./manifest.ts";
import { groupByContent } from "./restore.ts";

const FETCHES = 24;

/** What was found of a version in the object store. It is whole when `bad` is empty. */
export interface Verification {
  /** different chunks that were read, and the bytes that they have */
  chunks: number;
  bytes: number;
  /** objects that are damaged or missing, and the places in the volume that need them, in chunks */
  bad: { key: string; reason: string; indexes: number[] }[];
}

/** Reads every chunk of a version and checks its hash. Throws ObjectError where the store cannot be asked. */
export async function verify(manifest: Manifest, ctx: VersionContext): Promise<Verification> {
  const contents = groupByContent(manifest.chunks, manifest.volume_bytes);
  const report: Verification = { chunks: 0, bytes: 0, bad: [] };
  const total = contents.reduce((sum, { length }) => sum + length, 0);
  await inParallel(FETCHES, contents, async ({ hash, epoch, length, indexes }) => {
    checkSignal(ctx.signal);
    try {
      await fetchChunk({ hash, epoch, length, fd: -1, positions: [] }, ctx);
    } catch (error) {
      if (!(error instanceof VersionError && error.key)) throw error;
      report.bad.push({ key: error.key, reason: error.message, indexes });
    }
    report.chunks++;
    report.bytes += length;
    ctx.onProgress?.({ done: report.bytes, total });
  });
  report.bad.sort((a, b) => (a.indexes[0] ?? 0) - (b.indexes[0] ?? 0));
  return report;
}
