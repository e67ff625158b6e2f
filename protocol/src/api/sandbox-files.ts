import { z } from "zod";
import { exportFormats } from "../node-operations.ts";
import { jobLimits } from "./jobs.ts";
import { LAST_VERSION } from "./workspace-names.ts";

const Text = z
  .string()
  .min(1, "must not be empty")
  .max(4096)
  .refine((text) => !text.includes("\0"), "must not contain a NUL character");
const Flag = z.enum(["0", "1", "true", "false"]).optional();

/** Query of every call about a file in a live machine. */
export const FilePath = z.object({
  path: Text.describe("Path in the machine; relative ones begin at the user's home"),
  user: Text.max(64).optional().describe("Whose rights count: name, or numbers as uid or uid:gid; root by default"),
});
/** A file of a workspace, whether or not a machine is up. */
export const StoredFilePath = FilePath.extend({
  version: z.coerce
    .number()
    .int()
    .min(1)
    .max(LAST_VERSION)
    .optional()
    .describe("Of this version; the latest if absent"),
});
export const ImportQuery = FilePath.extend({
  path: FilePath.shape.path.default("/"),
  create: Flag.describe("1: make the workspace where there is none"),
  format: z
    .enum(exportFormats)
    .optional()
    .describe("The body is an export of this format, of which a new workspace is made; if absent a tar to unpack"),
  disk_gb: z.coerce
    .number()
    .min(0.1)
    .max(jobLimits.diskGbMax)
    .default(jobLimits.diskGbDefault)
    .describe("Size of the new workspace's disk, with `format` tar or oci"),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, "must be a SHA-256 in hexadecimal")
    .optional()
    .describe("Of the body, with `format`: one that is another is refused"),
})
  .refine(({ format, path }) => format === undefined || path === "/", {
    path: ["path"],
    message: "path must be absent with format: an export is a whole workspace",
  })
  .refine(({ format, sha256 }) => format !== undefined || sha256 === undefined, {
    path: ["sha256"],
    message: "sha256 needs format",
  });
export const FileWrite = FilePath.extend({
  mode: z
    .string()
    .regex(/^[0-7]{3,4}$/, "must be octal, such as 644")
    .optional()
    .describe("644 for a new file; one that was there keeps its own"),
  parents: Flag.describe("1: make missing directories above it"),
});
export const FileRemove = FilePath.extend({ recursive: Flag.describe("1: a directory with all that is in it") });
export const FileMakeDirectory = FilePath.extend({ parents: Flag });
export const FileWatch = FilePath.extend({
  interval: z.coerce.number().min(0.2).max(60).default(1).describe("Time between two looks, in seconds"),
});

/** What is known of a file without opening it. */
export const FileEntry = z.object({
  name: z.string(),
  type: z.enum(["file", "directory", "symlink", "other"]),
  size: z.number().int(),
  mode: z.string().describe("Permissions, octal"),
  modified_at: z.string(),
  uid: z.number().int(),
  gid: z.number().int(),
  target: z.string().optional().describe("Where a symlink leads"),
});
export type FileEntry = z.infer<typeof FileEntry>;

export const DirectoryListing = z.object({ path: z.string(), entries: z.array(FileEntry) });
export const FileDone = z.object({ path: z.string() });

/** Data of a `change` event of a watch; `ready` comes first, when what is there is known. */
export const FileChange = z.object({
  change: z.enum(["created", "modified", "deleted"]),
  path: z.string().describe("Below the watched directory; empty for itself"),
  type: FileEntry.shape.type,
});
export type FileChange = z.infer<typeof FileChange>;
