/**
 * What server and agent say to each other about workspaces. A version is immutable and lies in the object store; the
 * server knows which one is the latest, the agent makes new ones. `fence` grows each time a workspace is given to a writer:
 * what an earlier writer still sends is answered with 409 and changes nothing.
 */
import { z } from "zod";

const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hexadecimal");

/** Names the object that lists a version's chunks: SHA-256 of the file, and its epoch as for any chunk. */
export const ManifestName = z
  .string()
  .regex(/^[0-9a-f]{64}\.\d{1,9}$/, "must be a SHA-256 and an epoch, such as ab12….3");

/** One version of a workspace. */
export const VersionRef = z.object({
  id: z.uuid(),
  number: z.number().int().describe("1 for the first of its workspace"),
  manifest: ManifestName,
  volume_bytes: z.number().int().describe("Size of the disk, in bytes"),
});
export type VersionRef = z.infer<typeof VersionRef>;

/** The disk of a job. */
export const JobVolume = z.object({
  /** keeps the changes; null where they are discarded (a read-only base) */
  workspace: z.object({ id: z.uuid(), name: z.string(), fence: z.number().int() }).nullable(),
  /** what it starts from; null is an empty disk */
  version: VersionRef.nullable(),
  /** whose version that is: the workspace's own latest, or one of the base it begins with */
  source: z.enum(["empty", "latest", "base"]),
  disk_gb: z.number(),
  /** the node's own copy may be newer than `version`: it could not be made durable before */
  dirty: z.boolean(),
});
export type JobVolume = z.infer<typeof JobVolume>;

/** Most chunks in one call. */
export const CHUNKS_PER_CALL = 1000;

/**
 * `POST /node/v1/chunks/claim`: which chunks must be uploaded; manifests are claimed in the same way, after their chunks. What
 * is claimed is left alone by the collection for its grace period.
 */
export const ClaimChunks = z.object({
  node: z.string(),
  boot_id: z.uuid(),
  org: z.string(),
  chunks: z.array(z.object({ hash: Sha256, bytes: z.number().int().min(1) })).max(CHUNKS_PER_CALL),
});
export const ChunksClaimed = z.object({
  /** in the order of the request; `epoch` is part of the object's key and never the same for two lives of a chunk */
  chunks: z.array(z.object({ hash: Sha256, epoch: z.number().int(), missing: z.boolean() })),
});

export const versionReasons = [
  "completion",
  "interval",
  "sleep",
  "stop",
  "request",
  "import",
  "files",
  "fork",
  "rollback",
] as const;
export type VersionReason = (typeof versionReasons)[number];

/**
 * `POST /node/v1/versions`: makes an uploaded version the latest of its workspace, in one step. `parent` is the latest as the
 * agent knows it. A repeat answers as the first did. 409: `conflict` when the fence or the parent is not the current one,
 * `chunks_gone` when a chunk was collected meanwhile (claim and upload again).
 */
export const CommitVersion = z.object({
  node: z.string(),
  boot_id: z.uuid(),
  org: z.string(),
  workspace: z.uuid(),
  fence: z.number().int(),
  job: z.uuid().nullable(),
  parent: z.uuid().nullable(),
  reason: z.enum(versionReasons),
  /** the manifest's file as it was uploaded, and its name */
  manifest: z.base64(),
  manifest_name: ManifestName,
  /** bytes of the chunks it refers to, uncompressed */
  content_bytes: z.number().int(),
  /** what was uploaded, the manifest included */
  stored: z.array(z.object({ hash: Sha256, epoch: z.number().int(), stored_bytes: z.number().int() })),
  sync_ms: z.number(),
});
export type CommitVersion = z.infer<typeof CommitVersion>;
export const VersionCommitted = z.object({ version: VersionRef, durable_at: z.string() });

/** `POST /node/v1/workspaces/progress`, about once a second for those that changed: what people see as the recovery point. */
export const ReportWorkspaces = z.object({
  node: z.string(),
  boot_id: z.uuid(),
  /** these are all that the node has: of any other it has nothing that is not durable */
  all: z.boolean().default(false),
  workspaces: z.array(
    z.object({
      id: z.uuid(),
      fence: z.number().int(),
      /** written since the last version, as far as it is known, `bytes` */
      pending_bytes: z.number().int(),
      dirty: z.boolean(),
      /** everything up to this time is durable, ISO 8601; null when nothing is */
      durable_at: z.string().nullable(),
      last_sync_ms: z.number().nullable(),
      error: z.string().nullable(),
    }),
  ),
});
export type ReportWorkspaces = z.infer<typeof ReportWorkspaces>;
/**
 * `lost` are no longer this node's: it forgets its copies. `raised` still are, under a higher fence: the workspace was given to
 * a job of this node which has not begun with it, or never did. What is not durable goes on under that fence.
 */
export const WorkspacesReported = z.object({
  lost: z.array(z.uuid()),
  raised: z.array(z.object({ id: z.uuid(), fence: z.number().int() })),
});
export type WorkspacesReported = z.infer<typeof WorkspacesReported>;

/** Agent: `POST /agent/v1/jobs/:id/sync` answers when everything written before is durable; 503 `unavailable` says what is not. */
export const Synced = z.object({
  version: VersionRef.nullable(),
  durable_at: z.string(),
  sync_ms: z.number(),
  new_bytes: z.number().int(),
});
export type Synced = z.infer<typeof Synced>;
