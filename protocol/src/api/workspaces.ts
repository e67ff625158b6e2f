import { z } from "zod";
import { exportFormats, VersionsDiffer } from "../node-operations.ts";
import { versionReasons } from "../node-volumes.ts";
import { jobStatuses } from "../states.ts";
import { jobLimits } from "./jobs.ts";
import { BaseWorkspace, LAST_VERSION, WorkspaceName } from "./workspace-names.ts";

const Number1 = z.coerce.number().int().min(1).max(LAST_VERSION);
const Flag = z
  .enum(["0", "1", "true", "false"])
  .optional()
  .describe("1: also while jobs use the workspace; they are stopped, and what they have not made durable is lost");

/** How much of a workspace would be there if its node were lost now. */
export const RecoveryPoint = z.object({
  durable_at: z.string().nullable().describe("Everything up to this time is in the object store; null: nothing yet"),
  pending_bytes: z.number().int().describe("Written since, as far as it is known"),
  dirty: z.boolean().describe("There may be changes that only the node has"),
  last_sync_ms: z.number().nullable(),
  last_error: z.string().nullable().describe("Why the last sync failed; null when it did not"),
});
export type RecoveryPoint = z.infer<typeof RecoveryPoint>;

export const Workspace = z.object({
  workspace_id: z.string().describe("Its name"),
  disk_gb: z.number().describe("Size of its disk, in GiB"),
  size_bytes: z.number().int().describe("Content of the latest version"),
  stored_bytes: z.number().int().describe("What its versions have added to the object store"),
  versions: z.number().int().describe("How many there are"),
  latest_version: z.number().int().nullable().describe("null until something was made durable"),
  job_count: z.number().int().describe("Jobs that named it, ended ones included"),
  in_use_by: z
    .array(z.object({ request_id: z.uuid(), name: z.string(), status: z.enum(jobStatuses) }))
    .describe("Jobs that write to it or wait for it, oldest first"),
  node: z.string().nullable().describe("Node with the newest copy"),
  image: z.string().nullable().describe("Image that its files lie over; null: the node's own"),
  recovery_point: RecoveryPoint,
  last_sync_at: z.string().nullable().describe("When the latest version was made"),
  created_at: z.string(),
  used_at: z.string(),
});
export type Workspace = z.infer<typeof Workspace>;

export const ListWorkspacesQuery = z.object({
  page: Number1.default(1),
  page_size: Number1.max(1000).default(1000),
});
export const WorkspaceList = z.object({
  workspaces: z.array(Workspace),
  total: z.number().int(),
  page: z.number().int(),
  page_size: z.number().int(),
});
export type WorkspaceList = z.infer<typeof WorkspaceList>;

export const ForceQuery = z.object({ force: Flag });
export const WorkspaceDeleted = z.object({
  workspace_id: z.string(),
  deleted: z.literal(true),
  stopped_jobs: z.array(z.uuid()).describe("Jobs that were stopped because of force"),
});
export type WorkspaceDeleted = z.infer<typeof WorkspaceDeleted>;

export const ForkWorkspace = z.object({
  workspace_id: WorkspaceName.describe("Name of the new one"),
  version: z.int().min(1).max(LAST_VERSION).optional().describe("The latest if absent"),
});

export const WorkspaceVersion = z.object({
  version: z.number().int(),
  latest: z.boolean(),
  reason: z.enum(versionReasons).describe("Why it was made"),
  request_id: z.uuid().nullable().describe("Job that made it"),
  created_at: z.string(),
  size_bytes: z.number().int().describe("Its content"),
  new_bytes: z.number().int().describe("What it added to the object store"),
  disk_bytes: z.number().int(),
});
export type WorkspaceVersion = z.infer<typeof WorkspaceVersion>;
export const VersionList = z.object({ workspace_id: z.string(), versions: z.array(WorkspaceVersion) });
export type VersionList = z.infer<typeof VersionList>;
export const VersionDeleted = z.object({
  workspace_id: z.string(),
  version: z.number().int(),
  deleted: z.literal(true),
});

export const RollBack = z.object({
  version: z.int().min(1).max(LAST_VERSION).describe("Version whose content becomes the latest again"),
  force: z
    .boolean()
    .default(false)
    .describe("Also while a machine is up: it is stopped, and what it has not made durable is lost"),
});

export const ResizeWorkspace = z.object({
  disk_gb: z.number().min(0.1).max(jobLimits.diskGbMax).describe("New size in GiB; a disk can only grow"),
});

/** Answer of a sync. 202 with `synced: false`: it goes on; ask again, or look at the recovery point. */
export const SyncResult = z.object({
  workspace_id: z.string().nullable().describe("null for the disk of a persistent job without one"),
  synced: z.boolean().describe("Everything written before the request is in the object store"),
  version: z.number().int().nullable(),
  durable_at: z.string().nullable(),
  sync_ms: z.number(),
  new_bytes: z.number().int(),
  message: z.string(),
});
export type SyncResult = z.infer<typeof SyncResult>;

export const VerifyWorkspace = z.object({
  version: z.int().min(1).max(LAST_VERSION).optional().describe("The latest if absent"),
});
export const ExportQuery = z.object({
  format: z
    .enum(exportFormats)
    .default("tar")
    .describe("tar: its files over the image; ext4: the raw disk; oci: image and files"),
  version: Number1.optional().describe("The latest if absent"),
});

export const DiffQuery = z.object({
  version: Number1.optional().describe("The latest if absent"),
  from: BaseWorkspace.optional().describe(
    "What it is compared with: a workspace, or one version of it (name@version). If absent what it was made from",
  ),
});
/** How a version differs from another, as machines see their files. */
export const WorkspaceDiff = VersionsDiffer.extend({
  before: z.string().nullable().describe("name@version; null: the image alone"),
  after: z.string().describe("name@version"),
});
export type WorkspaceDiff = z.infer<typeof WorkspaceDiff>;

/** What a collection has done. */
export const Collected = z.object({
  expired_versions: z.number().int().describe("Versions that retention has removed"),
  objects: z.number().int().describe("Chunks and manifests that were removed"),
  bytes: z.number().int().describe("What they had in the object store"),
});
export type Collected = z.infer<typeof Collected>;
