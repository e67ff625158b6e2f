import { randomUUID } from "node:crypto";
import type { Selectable } from "kysely";
import type { Database, Queryable } from "../db/database.ts";
import type { SshKeysTable } from "../db/types.ts";

export type SshKeyRow = Selectable<SshKeysTable>;

/** Writes a generated key of a job, and removes the job's expired ones and the oldest beyond `limit`. */
export async function putJobKey(
  tx: Queryable,
  key: Pick<SshKeyRow, "org" | "name" | "fingerprint" | "public_key"> & { job: string; seconds: number },
  limit: number,
): Promise<{ expires_at: Date }> {
  const { rows } = await tx.query<{ expires_at: Date }>(
    `INSERT INTO ssh_keys (id, org, job, name, fingerprint, public_key, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + $7::double precision * interval '1 second') RETURNING expires_at`,
    [randomUUID(), key.org, key.job, key.name, key.fingerprint, key.public_key, key.seconds],
  );
  await tx.query(
    `DELETE FROM ssh_keys WHERE org = $1 AND job = $2 AND (expires_at < now() OR id IN
       (SELECT id FROM ssh_keys WHERE org = $1 AND job = $2 ORDER BY created_at DESC OFFSET $3))`,
    [key.org, key.job, limit],
  );
  return rows[0] as { expires_at: Date };
}

/** Writes a user's own key; undefined when another organisation has it, or it was generated for a job. */
export async function putUserKey(
  q: Queryable,
  key: Pick<SshKeyRow, "org" | "name" | "fingerprint" | "public_key">,
): Promise<SshKeyRow | undefined> {
  const { rows } = await q.query<SshKeyRow>(
    `INSERT INTO ssh_keys AS k (id, org, name, fingerprint, public_key) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name WHERE k.org = excluded.org AND k.job IS NULL RETURNING *`,
    [randomUUID(), key.org, key.name, key.fingerprint, key.public_key],
  );
  return rows[0];
}

export async function listUserKeys(db: Database, org: string): Promise<SshKeyRow[]> {
  return db.kysely
    .selectFrom("ssh_keys")
    .selectAll()
    .where("org", "=", org)
    .where("job", "is", null)
    .orderBy("created_at")
    .execute();
}

/** True when the organisation had it. */
export async function deleteUserKey(q: Queryable, org: string, id: string): Promise<boolean> {
  const { rowCount } = await q.query("DELETE FROM ssh_keys WHERE org = $1 AND id = $2 AND job IS NULL", [org, id]);
  return rowCount === 1;
}

/** A key that is valid now, by its fingerprint: what a visitor shows who has said nothing else yet. */
export async function findKey(q: Queryable, fingerprint: string): Promise<SshKeyRow | undefined> {
  const { rows } = await q.query<SshKeyRow>(
    "SELECT * FROM ssh_keys WHERE fingerprint = $1 AND (expires_at IS NULL OR expires_at > clock_timestamp())",
    [fingerprint],
  );
  return rows[0];
}
