import { randomUUID } from "node:crypto";
import type { DoorGuard } from "@mags/protocol";
import type { Selectable } from "kysely";
import type { Database, Queryable } from "../db/database.ts";
import type { DoorsTable, UrlAliasesTable } from "../db/types.ts";

export type DoorRow = Selectable<DoorsTable>;
export type AliasRow = Selectable<UrlAliasesTable>;

/** A port that a job has opened; without `port` its main one. */
export async function findDoor(q: Queryable, org: string, job: string, port?: number): Promise<DoorRow | undefined> {
  const { rows } = await q.query<DoorRow>(
    "SELECT * FROM doors WHERE org = $1 AND job = $2 AND CASE WHEN $3::integer IS NULL THEN main ELSE port = $3 END",
    [org, job, port ?? null],
  );
  return rows[0];
}

export async function countDoors(q: Queryable, org: string, job: string): Promise<number> {
  const { rows } = await q.query<{ count: number }>(
    "SELECT count(*)::integer AS count FROM doors WHERE org = $1 AND job = $2",
    [org, job],
  );
  return rows[0]?.count ?? 0;
}

/** Opens a port or changes its guard; the first one of a job becomes its main one. Call it with the job's row locked. */
export async function putDoor(
  tx: Queryable,
  door: { org: string; job: string; port: number; guard: DoorGuard },
): Promise<DoorRow> {
  const { rows } = await tx.query<DoorRow>(
    `INSERT INTO doors (org, job, port, guard, main)
     VALUES ($1, $2, $3, $4, NOT EXISTS (SELECT 1 FROM doors WHERE job = $2 AND main))
     ON CONFLICT (job, port) DO UPDATE SET guard = excluded.guard RETURNING *`,
    [door.org, door.job, door.port, JSON.stringify(door.guard)],
  );
  return rows[0] as DoorRow;
}

/** An alias by its public host name, of whatever organisation: a visitor belongs to none. */
export async function findAlias(q: Queryable, subdomain: string): Promise<AliasRow | undefined> {
  return (await q.query<AliasRow>("SELECT * FROM url_aliases WHERE subdomain = $1", [subdomain])).rows[0];
}

/** Writes an alias; undefined when the name belongs to another organisation or another workspace. */
export async function putAlias(
  q: Queryable,
  alias: Pick<AliasRow, "org" | "subdomain" | "workspace" | "port" | "guard">,
): Promise<AliasRow | undefined> {
  const { rows } = await q.query<AliasRow>(
    `INSERT INTO url_aliases AS a (id, org, subdomain, workspace, port, guard) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (subdomain) DO UPDATE SET port = excluded.port, guard = excluded.guard
       WHERE a.org = excluded.org AND a.workspace = excluded.workspace RETURNING *`,
    [randomUUID(), alias.org, alias.subdomain, alias.workspace, alias.port, JSON.stringify(alias.guard)],
  );
  return rows[0];
}

export async function listAliases(db: Database, org: string): Promise<AliasRow[]> {
  return db.kysely.selectFrom("url_aliases").selectAll().where("org", "=", org).orderBy("subdomain").execute();
}

/** True when there was one. */
export async function deleteAlias(q: Queryable, org: string, subdomain: string): Promise<boolean> {
  const { rowCount } = await q.query("DELETE FROM url_aliases WHERE org = $1 AND subdomain = $2", [org, subdomain]);
  return rowCount === 1;
}
