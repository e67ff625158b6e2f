import type { VersionReason } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

export interface VersionRow {
  id: string;
  workspace: string;
  number: number;
  parent: string | null;
  manifest: string;
  volume_bytes: number;
  content_bytes: number;
  new_bytes: number;
  reason: VersionReason;
  job: string | null;
  created_at: Date;
}

const COLUMNS = `id, workspace, number, parent, manifest, volume_bytes::float8 AS volume_bytes,
  content_bytes::float8 AS content_bytes, new_bytes::float8 AS new_bytes, reason, job, created_at`;

/** `use` keeps it from being deleted until the transaction ends. */
export async function findVersion(
  q: Queryable,
  org: string,
  id: string,
  lock: "none" | "use" = "none",
): Promise<VersionRow | undefined> {
  const { rows } = await q.query<VersionRow>(
    `SELECT ${COLUMNS} FROM versions WHERE org = $1 AND id = $2 ${lock === "use" ? "FOR KEY SHARE" : ""}`,
    [org, id],
  );
  return rows[0];
}

/** Version `number` of a workspace, locked against being deleted. */
export async function findVersionByNumber(
  q: Queryable,
  org: string,
  workspace: string,
  number: number,
): Promise<VersionRow | undefined> {
  const { rows } = await q.query<VersionRow>(
    `SELECT ${COLUMNS} FROM versions WHERE org = $1 AND workspace = $2 AND number = $3 FOR KEY SHARE`,
    [org, workspace, number],
  );
  return rows[0];
}

/** Also makes it the workspace's latest. The transaction must hold the workspace's row and `holdCollection`. */
export async function insertVersion(
  tx: Queryable,
  org: string,
  version: Omit<VersionRow, "created_at">,
): Promise<void> {
  const { id, workspace, number, parent, manifest, volume_bytes, content_bytes, new_bytes, reason, job } = version;
  await tx.query(
    `INSERT INTO versions (id, org, workspace, number, parent, manifest, volume_bytes, content_bytes, new_bytes, reason, job)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
    [id, org, workspace, number, parent, manifest, volume_bytes, content_bytes, new_bytes, reason, job],
  );
  await tx.query("UPDATE workspaces SET latest = $3 WHERE org = $1 AND id = $2", [org, workspace, id]);
}

export async function insertManifest(tx: Queryable, org: string, name: string, body: Buffer): Promise<void> {
  await tx.query("INSERT INTO manifests (org, name, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", [
    org,
    name,
    body,
  ]);
}

export async function readManifest(q: Queryable, org: string, name: string): Promise<Buffer | undefined> {
  const { rows } = await q.query<{ body: Buffer }>("SELECT body FROM manifests WHERE org = $1 AND name = $2", [
    org,
    name,
  ]);
  return rows[0]?.body;
}

/** Newest first. */
export async function listVersions(q: Queryable, org: string, workspace: string): Promise<VersionRow[]> {
  const { rows } = await q.query<VersionRow>(
    `SELECT ${COLUMNS} FROM versions WHERE org = $1 AND workspace = $2 ORDER BY number DESC`,
    [org, workspace],
  );
  return rows;
}

/** Whether a job is about to start from it. */
export async function isWanted(q: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await q.query(
    "SELECT 1 FROM jobs WHERE base_version = $1 AND status IN ('accepted', 'starting') LIMIT 1",
    [id],
  );
  return rowCount === 1;
}

/** Locks a version against everything; of no use to others from then on. */
export async function lockVersion(tx: Queryable, id: string): Promise<void> {
  await tx.query("SELECT 1 FROM versions WHERE id = $1 FOR UPDATE", [id]);
}

export async function deleteVersion(tx: Queryable, org: string, id: string): Promise<void> {
  await tx.query("DELETE FROM versions WHERE org = $1 AND id = $2", [org, id]);
}

/** The newest version of the same workspace that is older. */
export async function versionBefore(
  q: Queryable,
  org: string,
  { workspace, number }: VersionRow,
): Promise<VersionRow | undefined> {
  const { rows } = await q.query<VersionRow>(
    `SELECT ${COLUMNS} FROM versions WHERE org = $1 AND workspace = $2 AND number < $3 ORDER BY number DESC LIMIT 1`,
    [org, workspace, number],
  );
  return rows[0];
}

/** As people name it. */
export async function versionName(q: Queryable, org: string, { workspace, number }: VersionRow): Promise<string> {
  const { rows } = await q.query<{ name: string }>("SELECT name FROM workspaces WHERE org = $1 AND id = $2", [
    org,
    workspace,
  ]);
  return `${rows[0]?.name ?? workspace}@${number}`;
}
