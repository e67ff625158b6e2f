import { ApiError } from "@mags/protocol";
import { decodeManifest, sha256, VersionError } from "@mags/storage";

export interface ManifestFacts {
  volumeBytes: number;
  /** epoch of each chunk by its hash */
  chunks: Map<string, number>;
}

/** What a manifest's file says. Throws ApiError invalid_request when it is none, or not the one of that name. */
export function readManifestFile(file: Buffer, name: string): ManifestFacts {
  if (sha256(file) !== name.split(".")[0])
    throw new ApiError("invalid_request", "manifest is not the file that manifest_name names", "manifest");
  try {
    const { volume_bytes, chunks } = decodeManifest(file, name);
    return { volumeBytes: volume_bytes, chunks: new Map(chunks.map(([, hash, epoch]) => [hash, epoch])) };
  } catch (cause) {
    if (!(cause instanceof VersionError)) throw cause;
    throw new ApiError("invalid_request", cause.message, "manifest");
  }
}
