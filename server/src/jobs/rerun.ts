import { ApiError, CreateJob } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";
import { issueError } from "../http/validation.ts";
import type { JobRow } from "./store.ts";

/**
 * The request that repeats a job: the same script, variables, files and limits, on exactly the image and from exactly the version
 * that it ran on. A workspace that it wrote to stays as it is: what the new run writes goes to `workspace`, a new one, or nowhere.
 * Throws ApiError conflict where what the job ran on is not settled, or not there any more.
 */
export async function rerunRequest(q: Queryable, row: JobRow, workspace: string | undefined): Promise<CreateJob> {
  if (row.ran_by === null)
    throw new ApiError("conflict", `job ${row.id} has not run yet: what it runs on is not settled`);
  if (row.host_job !== null)
    throw new ApiError(
      "conflict",
      `job ${row.id} ran in the machine of job ${row.host_job} and what that held then is not kept: rerun that one`,
    );
  if (workspace !== undefined) await refuseOld(q, row.org, workspace);
  const { workspace_id: _, base_workspace_id: __, on_busy: ___, ...spec } = await specOf(q, row);
  const base = row.start_version === null ? undefined : await versionName(q, row);
  const parsed = CreateJob.safeParse({
    ...spec,
    image_digest: row.ran_by.image_digest,
    ...(base ? { base_workspace_id: base } : {}),
    ...(workspace === undefined ? {} : { workspace_id: workspace, ephemeral: false }),
  });
  if (!parsed.success) throw issueError(parsed.error.issues);
  return parsed.data;
}

export async function markRerun(tx: Queryable, org: string, id: string, of: string): Promise<void> {
  await tx.query("UPDATE jobs SET rerun_of = $3 WHERE org = $1 AND id = $2", [org, id, of]);
}

async function specOf(q: Queryable, { id, org }: JobRow): Promise<CreateJob> {
  const { rows } = await q.query<{ spec: CreateJob }>("SELECT spec FROM jobs WHERE org = $1 AND id = $2", [org, id]);
  if (!rows[0]) throw new ApiError("not_found", `there is no job ${id}`);
  return rows[0].spec;
}

/** The version as a request names it. The row says which it was; a workspace of the same name made later has others. */
async function versionName(
  q: Queryable,
  { org, start_version, started_from, id }: JobRow,
): Promise<string | undefined> {
  const { rows } = await q.query<{ name: string; number: number }>(
    `SELECT w.name, v.number FROM versions v JOIN workspaces w ON w.id = v.workspace
     WHERE v.org = $1 AND v.id = $2`,
    [org, start_version],
  );
  const [version] = rows;
  if (!version)
    throw new ApiError(
      "conflict",
      `job ${id} began as version ${started_from ?? start_version}, which was deleted since`,
    );
  return `${version.name}@${version.number}`;
}

async function refuseOld(q: Queryable, org: string, name: string): Promise<void> {
  const { rows } = await q.query("SELECT 1 FROM workspaces WHERE org = $1 AND name = $2", [org, name]);
  if (rows.length > 0)
    throw new ApiError(
      "conflict",
      `workspace_id ${JSON.stringify(name)} exists already, and a run in it would go on from its own files: name a new one`,
      "workspace_id",
    );
}
