import type pg from "pg";
import { continueSequences, type Table } from "./tables.ts";

/** Far above all that nodes which live on could have been given after the backup was made. */
const LEAP = 1_000_000;

/**
 * Makes of the rows of a moment rows to go on from: no node has anything any more. Scripts that ran are lost, persistent machines
 * sleep with what was durable of their files, and numbers that fence off what is late go on where nobody has been.
 */
export async function settle(
  client: pg.Client,
  { tables, made_at }: { tables: Table[]; made_at: string },
): Promise<void> {
  await continueSequences(client, tables);
  await client.query("UPDATE organisations SET collection = collection + $1", [LEAP]);
  await client.query(
    "UPDATE workspaces SET fence = fence + $1, node = NULL, dirty = false, pending_bytes = 0, last_error = NULL",
    [LEAP],
  );
  await client.query("UPDATE jobs SET attempt = attempt + $1, lease_until = NULL WHERE completed_at IS NULL", [LEAP]);
  const why = `the server was restored from its backup of ${made_at}`;
  const ended = await client.query<{ id: string }>(
    `UPDATE jobs SET status = 'error', reason = 'node_lost', error = $1, completed_at = clock_timestamp()
     WHERE status IN ('starting', 'running') AND (NOT persistent OR host_job IS NOT NULL OR started_at IS NULL) RETURNING id`,
    [`It ran when ${why}. The script may have run in part; it was not run again.`],
  );
  const gone = [ended.rows.map(({ id }) => id)];
  await client.query("DELETE FROM workspaces WHERE anonymous AND holder_job = ANY($1)", gone);
  await client.query("UPDATE workspaces SET holder_job = NULL WHERE holder_job = ANY($1)", gone);
  await client.query(
    `UPDATE jobs SET status = CASE WHEN no_sleep THEN 'accepted' ELSE 'sleeping' END, wakes = wakes + no_sleep::integer,
       activity_because = $1, activity_since = clock_timestamp(), sleep_requested_at = NULL
     WHERE status IN ('starting', 'running')`,
    [why],
  );
}
