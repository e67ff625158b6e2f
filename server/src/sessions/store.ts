import type { TokenScope } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

/** Writes a session; those that have expired go on the way. */
export async function putSession(
  q: Queryable,
  session: { hash: string; org: string; token: string; seconds: number },
): Promise<void> {
  await q.query(
    `WITH old AS (DELETE FROM sessions WHERE expires_at < now())
     INSERT INTO sessions (hash, org, token, expires_at) VALUES ($1, $2, $3, now() + $4::double precision * interval '1 second')`,
    [session.hash, session.org, session.token, session.seconds],
  );
}

export interface SessionRow {
  token: string;
  name: string;
  org: string;
  scopes: TokenScope[];
}

export async function findSession(q: Queryable, hash: string): Promise<SessionRow | undefined> {
  const { rows } = await q.query<SessionRow>(
    `SELECT t.hash AS token, t.name, t.org, t.scopes FROM sessions s JOIN tokens t ON t.hash = s.token
     WHERE s.hash = $1 AND s.expires_at > now() AND (t.expires_at IS NULL OR t.expires_at > now())`,
    [hash],
  );
  return rows[0];
}

export async function removeSession(q: Queryable, hash: string): Promise<void> {
  await q.query("DELETE FROM sessions WHERE hash = $1", [hash]);
}
