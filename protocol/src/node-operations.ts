/** What the server asks an agent about versions that lie in the object store. Any node can answer. */
import { z } from "zod";
import { VersionRef } from "./node-volumes.ts";

/** Agent: `POST /agent/v1/workspaces/:id/resize`, for a workspace whose machine is up on this node; 404 when it is not. */
export const ResizeVolume = z.object({ disk_gb: z.number().positive() });

/** Agent: `POST /agent/v1/versions/verify`, a restore drill: every chunk is fetched and hashed, the file system checked and mounted. */
export const VerifyVersion = z.object({ org: z.string(), version: VersionRef });
export const VersionVerified = z.object({
  /** it can be restored, and what is restored is a sound file system */
  ok: z.boolean(),
  chunks: z.number().int(),
  bytes: z.number().int(),
  /** objects that are damaged or missing */
  bad: z.array(z.object({ key: z.string(), reason: z.string() })),
  fsck: z.object({ clean: z.boolean(), output: z.string() }).nullable(),
  mounted: z.object({ inodes: z.number().int(), bytes: z.number().int() }).nullable(),
  took_ms: z.number(),
});
export type VersionVerified = z.infer<typeof VersionVerified>;

/**
 * `tar` holds the workspace's own files, as a layer over its image (what was deleted of the image is a file `.wh.<name>`);
 * `ext4` is the raw disk; `oci` is a tar of an OCI image layout with the image and that layer.
 */
export const exportFormats = ["tar", "ext4", "oci"] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** Agent: `POST /agent/v1/versions/export` answers bytes, cut off where something goes wrong on the way. */
export const ExportVersion = z.object({
  org: z.string(),
  /** what it is called in an OCI image */
  name: z.string(),
  /** what its workspace lies over */
  image: z.string(),
  version: VersionRef,
  format: z.enum(exportFormats),
});
export type ExportVersion = z.infer<typeof ExportVersion>;

/**
 * Agent: `POST /agent/v1/versions/import` with these as its query: the body is an export, of which the first version of a
 * workspace is made. 409 when the fence is not the current one, 400 when it is no export.
 */
export const ImportVersion = z.object({
  org: z.string(),
  workspace: z.uuid(),
  fence: z.coerce.number().int(),
  format: z.enum(exportFormats),
  /** size of the new disk; that of an ext4 image is its own */
  disk_gb: z.coerce.number(),
  /** of the whole body, when it is known */
  sha256: z.string().optional(),
});
export type ImportVersion = z.infer<typeof ImportVersion>;
export const VersionImported = z.object({ version: VersionRef });

/** How a path differs between two versions, the image below included. */
export const DiffEntry = z.object({
  path: z.string().describe("From the root of the machine; bytes of a name that are no UTF-8 are shown as �"),
  change: z.enum(["added", "removed", "modified"]),
  kind: z.enum(["file", "directory", "link", "other"]).describe("What it is, or was"),
  changed: z.array(z.enum(["kind", "content", "mode", "owner"])).describe("Of one that was modified"),
  bytes_before: z.number().int().nullable(),
  bytes_after: z.number().int().nullable(),
});
export type DiffEntry = z.infer<typeof DiffEntry>;

/** Agent: `POST /agent/v1/versions/diff`. `from` null: the image alone. */
export const DiffVersions = z.object({
  org: z.string(),
  /** what the workspace lies over */
  image: z.string(),
  from: VersionRef.nullable(),
  to: VersionRef,
});
export type DiffVersions = z.infer<typeof DiffVersions>;
export const VersionsDiffer = z.object({
  added: z.number().int(),
  removed: z.number().int(),
  modified: z.number().int(),
  /** in order of path */
  entries: z.array(DiffEntry),
  truncated: z.boolean().describe("There are more than the first 10,000"),
});
export type VersionsDiffer = z.infer<typeof VersionsDiffer>;
