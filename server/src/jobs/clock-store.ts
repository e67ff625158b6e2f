import type { Queryable } from "../db/database.ts";

const CLOCK = { name: "clock", text: "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS wall" };

/** The wall clock by which leases end, `ms`. */
export async function databaseClock(q: Queryable): Promise<number> {
  return (await q.query<{ wall: number }>(CLOCK)).rows[0]?.wall ?? 0;
}

/** After the clock was set back: no lease ends later than one that is renewed now, and no node was seen in the future. */
export async function endInTime(tx: Queryable, leaseSeconds: number): Promise<void> {
  const end = "now() + $1::double precision * interval '1 second'";
  // By a statement of its own, see noteProgress.
  const late = await tx.query<{ id: string }>(
    `SELECT id FROM jobs WHERE status IN ('starting', 'running') AND lease_until > ${end} ORDER BY id FOR NO KEY UPDATE`,
    [leaseSeconds],
  );
  await tx.query(`UPDATE jobs SET lease_until = ${end} WHERE id = ANY($2::uuid[])`, [
    leaseSeconds,
    late.rows.map(({ id }) => id),
  ]);
  await tx.query("UPDATE nodes SET seen_at = now() WHERE seen_at > now()");
}
