import type { MachineRole } from "@mags/protocol";
import type { Selectable } from "kysely";
import type { Database, Queryable } from "../db/database.ts";
import type { MachinesTable } from "../db/types.ts";

export type MachineRow = Selectable<MachinesTable>;

export async function readAuthority(q: Queryable): Promise<{ certificate: string; sealedKey: string } | undefined> {
  const { rows } = await q.query<{ certificate: string; sealed_key: string }>("SELECT * FROM cluster");
  return rows[0] && { certificate: rows[0].certificate, sealedKey: rows[0].sealed_key };
}

/** Does nothing where another server was first. */
export async function keepAuthority(q: Queryable, made: { certificate: string; sealedKey: string }): Promise<void> {
  await q.query("INSERT INTO cluster (certificate, sealed_key) VALUES ($1, $2) ON CONFLICT DO NOTHING", [
    made.certificate,
    made.sealedKey,
  ]);
}

/** Answers when it ends. */
export async function insertJoinToken(
  q: Queryable,
  token: { hash: string; node: string | null; roles: MachineRole[]; createdBy: string; minutes: number },
): Promise<Date> {
  await q.query("DELETE FROM join_tokens WHERE expires_at < now() - interval '1 day'");
  const { rows } = await q.query<{ expires_at: Date }>(
    `INSERT INTO join_tokens (hash, node, roles, created_by, expires_at)
     VALUES ($1, $2, $3, $4, now() + $5::double precision * interval '1 minute') RETURNING expires_at`,
    [token.hash, token.node, token.roles, token.createdBy, token.minutes],
  );
  return rows[0]?.expires_at as Date;
}

/** Takes a join token that is still good for the node, so that nobody else can; undefined when it is not. */
export async function useJoinToken(
  tx: Queryable,
  hash: string,
  node: string,
): Promise<{ roles: MachineRole[] } | undefined> {
  const { rows } = await tx.query<{ roles: MachineRole[] }>(
    `UPDATE join_tokens SET used_at = now()
     WHERE hash = $1 AND used_at IS NULL AND expires_at > now() AND (node IS NULL OR lower(node) = lower($2)) RETURNING roles`,
    [hash, node],
  );
  return rows[0];
}

/** Undefined when a machine has the name. */
export async function insertMachine(
  tx: Queryable,
  machine: { name: string; hash: string; roles: MachineRole[] },
): Promise<MachineRow | undefined> {
  const { rows } = await tx.query<MachineRow>(
    `INSERT INTO machines (name, hash, roles) VALUES ($1, $2, $3)
     ON CONFLICT (lower(name)) WHERE removed_at IS NULL DO NOTHING RETURNING *`,
    [machine.name, machine.hash, machine.roles],
  );
  return rows[0];
}

export async function findMachine(q: Queryable, hash: string): Promise<MachineRow | undefined> {
  return (await q.query<MachineRow>("SELECT * FROM machines WHERE hash = $1 AND removed_at IS NULL", [hash])).rows[0];
}

export async function hasMachine(q: Queryable, name: string): Promise<boolean> {
  const { rowCount } = await q.query("SELECT 1 FROM machines WHERE lower(name) = lower($1) AND removed_at IS NULL", [
    name,
  ]);
  return rowCount === 1;
}

/** True when there was one. */
export async function removeMachine(tx: Queryable, payload: string, name: string): Promise<boolean> {
  const { rowCount } = await tx.query(
    `WITH gone AS (UPDATE machines SET removed_at = now() WHERE lower(name) = lower($2) AND removed_at IS NULL RETURNING id)
     SELECT pg_notify('mags_events', $1) FROM gone`,
    [payload, name],
  );
  return rowCount === 1;
}

export async function removedMachines(db: Database): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>("SELECT id FROM machines WHERE removed_at IS NOT NULL");
  return rows.map(({ id }) => id);
}
