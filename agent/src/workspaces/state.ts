import { readFileSync, rmSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFlushed } from "@mags/kit";
import { CommitVersion, VersionRef } from "@mags/protocol";
import { z } from "zod";

/** What this node knows of a workspace, beside its files. */
export const WorkspaceState = z.object({
  org: z.string(),
  id: z.uuid(),
  name: z.string(),
  /** with which it was given to this node last */
  fence: z.number().int(),
  /** what the live volume was made from, or has become; null before the first version */
  version: VersionRef.nullable(),
  /** everything up to this time is durable, ISO 8601 */
  durable_at: z.string().nullable(),
  last_sync_ms: z.number().nullable(),
  /** why some of what the machine has written may be missing, although all that is here is durable */
  unwritten: z.string().optional(),
});
export type WorkspaceState = z.infer<typeof WorkspaceState>;

/** A commit as it was sent: repeated word for word until its answer is known. */
export const PendingCommit = CommitVersion.omit({ node: true, boot_id: true });
export type PendingCommit = z.infer<typeof PendingCommit>;

/**
 * The files of one workspace on this node. The live volume is there while a machine has it, and from then on until all of
 * it is durable: where there is none, nothing of the workspace is on this node alone.
 */
export class WorkspaceFiles {
  readonly dir: string;

  constructor(root: string, id: string) {
    this.dir = join(root, id);
  }

  get live() {
    return join(this.dir, "live.ext4");
  }
  /** a live volume that is being made */
  get making() {
    return join(this.dir, "making.ext4");
  }
  /** the snapshot that is being made durable */
  get taken() {
    return join(this.dir, "taken.ext4");
  }
  /** an empty directory to mount at */
  get scratch() {
    return join(this.dir, "mnt");
  }

  async create(): Promise<void> {
    await mkdir(this.scratch, { recursive: true, mode: 0o700 });
  }

  state(): WorkspaceState | undefined {
    return this.#read("state.json", WorkspaceState);
  }

  writeState(state: WorkspaceState): void {
    writeFlushed(join(this.dir, "state.json"), state);
  }

  commit(): PendingCommit | undefined {
    return this.#read("commit.json", PendingCommit);
  }

  writeCommit(commit: PendingCommit | undefined): void {
    if (commit) writeFlushed(join(this.dir, "commit.json"), commit);
    else rmSync(join(this.dir, "commit.json"), { force: true });
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }

  #read<T extends z.ZodType>(name: string, schema: T): z.infer<T> | undefined {
    try {
      return schema.parse(JSON.parse(readFileSync(join(this.dir, name), "utf8")));
    } catch {
      return undefined;
    }
  }
}
