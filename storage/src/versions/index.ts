export type { VersionContext } from "./context.ts";
export { VersionError, type VersionErrorCode } from "./errors.ts";
export { chunkKey, decodeManifest, encodeManifest, type Manifest, manifestKey } from "./manifest.ts";
export { changedRanges, type Range } from "./ranges.ts";
export { resize } from "./resize.ts";
export { fetchManifest, type NearVolume, PARTIAL, type Restored, restore } from "./restore.ts";
export { hasChanged, snapshot, thawLeftover, thawLeftoverImage } from "./snapshot.ts";
export { type ChunkIndex, type KnownVersion, type Upload, upload } from "./upload.ts";
export { type Verification, verify } from "./verify.ts";
