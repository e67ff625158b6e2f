import { CHUNKS_PER_CALL } from "@mags/protocol";
import type { ChunkIndex, Upload } from "@mags/storage";
import type { ControlPlane } from "../control-plane.ts";

/** Asks the server which chunks an upload has to send. */
export function chunkIndex(controlPlane: ControlPlane, org: string, signal: AbortSignal): ChunkIndex {
  return {
    claim: async (chunks) => {
      const claimed: Awaited<ReturnType<ChunkIndex["claim"]>> = [];
      for (let at = 0; at < chunks.length; at += CHUNKS_PER_CALL) {
        const some = chunks.slice(at, at + CHUNKS_PER_CALL);
        claimed.push(...(await controlPlane.claimChunks(org, some, signal)).chunks);
      }
      return claimed;
    },
  };
}

/** Fields of a commit that tell what was uploaded. */
export function uploaded(made: Upload) {
  const { chunks, chunk_bytes, volume_bytes } = made.manifest;
  return {
    manifest: made.file.toString("base64"),
    manifest_name: made.name,
    content_bytes: chunks.reduce((sum, [index]) => sum + Math.min(chunk_bytes, volume_bytes - index * chunk_bytes), 0),
    stored: made.stored,
  };
}
