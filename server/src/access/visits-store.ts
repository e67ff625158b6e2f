import type { Queryable } from "../db/database.ts";

export interface VisitRow {
  job: string;
  org: string;
  beat: number;
}

export async function insertVisit(tx: Queryable, org: string, job: string): Promise<void> {
  await tx.query("INSERT INTO visits (job, org) VALUES ($1, $2)", [job, org]);
}

/** Whoever visits is alive. */
export async function beatVisit(q: Queryable, org: string, job: string): Promise<void> {
  await q.query("UPDATE visits SET beat = beat + 1 WHERE job = $1 AND org = $2", [job, org]);
}

/** True when it was still to be ended, and, where a beat is given, has not beaten since. */
export async function removeVisit(
  tx: Queryable,
  { org, job, beat }: Omit<VisitRow, "beat"> & { beat: number | undefined },
) {
  const text = "DELETE FROM visits WHERE job = $1 AND org = $2 AND ($3::integer IS NULL OR beat = $3)";
  return (await tx.query(text, [job, org, beat ?? null])).rowCount === 1;
}

/** Those of all servers, for all organisations. */
export async function listVisits(q: Queryable): Promise<VisitRow[]> {
  return (await q.query<VisitRow>("SELECT job, org, beat FROM visits")).rows;
}
