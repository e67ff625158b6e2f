import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { Assignment, RanBy, ScriptEnd } from "@mags/protocol";
import { z } from "zod";

/**
 * How far a job has come on this node, written down before each step so that a killed agent's successor knows what may
 * have happened: `assigned` nothing ran yet, `started` the script may run or have run, `ended` its end is known but the
 * server may not know it, `reported` the server has it; `sleeping` its machine is being put away, or is.
 */
const Phase = z.enum(["assigned", "started", "sleeping", "ended", "reported"]);

export const JobRecord = z.object({
  phase: Phase,
  assignment: Assignment,
  sandbox: z.string().nullable(),
  ran_by: RanBy.nullable(),
  /** names the start of the script, see the wrapper */
  token: z.string().nullable(),
  /** when the script was started, ms since 1970 */
  started_at: z.number().nullable(),
  end: ScriptEnd.nullable(),
  /** why it sleeps */
  because: z.string().nullable().default(null),
});
export type JobRecord = z.infer<typeof JobRecord>;

/** The record of a job of which nothing has run. */
export const unstarted = (assignment: Assignment): JobRecord => ({
  phase: "assigned",
  assignment,
  sandbox: null,
  ran_by: null,
  token: null,
  started_at: null,
  end: null,
  because: null,
});

/** The directories of jobs on this node; each holds the record, the logs and what the script's wrapper writes. */
export class JobRecords {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  directory(id: string): string {
    return join(this.root, id);
  }

  /** Where what runs now leaves its marks: each wake has a place of its own, because its command is another. */
  runDirectory({ id, wake }: Pick<Assignment, "id" | "wake">): string {
    return wake ? join(this.directory(id), `wake-${wake.count}`) : this.directory(id);
  }

  /**
   * Makes or replaces the record, and its directory: on a full disk a job may end before there was room for one. Not flushed to
   * the disk: it has to outlive the agent, which the page cache does, and not the machine, because after a reboot no script of
   * before can be running and none is started a second time. Synchronous, because it lies on the way of every job, where three
   * turns through the thread pool take longer than the calls.
   */
  write(record: JobRecord): void {
    const directory = this.directory(record.assignment.id);
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, "job.json");
    // Values of secrets stay in memory; a successor is given them anew.
    const kept = { ...record, assignment: { ...record.assignment, secrets: {}, masked: [] } };
    writeFileSync(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  /** The record of a job, or undefined when the node has none that can be read. */
  async read(id: string): Promise<JobRecord | undefined> {
    const path = join(this.directory(id), "job.json");
    // After a power cut it may be empty, because it is not flushed.
    return readFile(path, "utf8")
      .then((text) => JobRecord.parse(JSON.parse(text)))
      .catch(() => undefined);
  }

  async ids(): Promise<string[]> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    return readdir(this.root);
  }

  async remove(id: string): Promise<void> {
    await rm(this.directory(id), { recursive: true, force: true });
  }
}
