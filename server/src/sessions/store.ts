import type { MemberRole, TokenScope } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

/** Writes a session of a token or of a member; those that have expired go on the way. */
export async function putSession(
  q: Queryable,
  session: { hash: string; org: string; token: string | null; member: string | null; seconds: number },
): Promise<void> {
  await q.query(
    `WITH old AS (DELETE FROM sessions WHERE expires_at < now())
     INSERT INTO sessions (hash, org, token, member, expires_at)
     VALUES ($1, $2, $3, $4, now() + $5::double precision * interval '1 second')`,
    [session.hash, session.org, session.token, session.member, session.seconds],
  );
}

export interface SessionRow {
  org: string;
  /** hash of the token that signed in; null where a member did */
  token: string | null;
  token_name: string | null;
  scopes: TokenScope[] | null;
  member: string | null;
  email: string | null;
  member_name: string | null;
  role: MemberRole | null;
}

export async function findSession(q: Queryable, hash: string): Promise<SessionRow | undefined> {
  const { rows } = await q.query<SessionRow>(
    `SELECT s.org, s.token, t.name AS token_name, t.scopes, m.id AS member, m.email, m.name AS member_name, m.role
     FROM sessions s
     LEFT JOIN tokens t ON t.hash = s.token
     LEFT JOIN members m ON m.id = coalesce(s.member, t.member)
     WHERE s.hash = $1 AND s.expires_at > now() AND (t.expires_at IS NULL OR t.expires_at > now())
       AND m.disabled IS NOT TRUE`,
    [hash],
  );
  return rows[0];
}

export async function removeSession(q: Queryable, hash: string): Promise<void> {
  await q.query("DELETE FROM sessions WHERE hash = $1", [hash]);
}

/** Ends all sign-ins of a member but one. */
export async function removeSessionsOf(q: Queryable, org: string, member: string, but: string): Promise<void> {
  await q.query("DELETE FROM sessions WHERE org = $1 AND member = $2 AND hash <> $3", [org, member, but]);
}
