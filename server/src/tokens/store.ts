import type { MemberRole, TokenScope } from "@mags/protocol";
import type { Selectable } from "kysely";
import type { Database, Queryable } from "../db/database.ts";
import type { TokensTable } from "../db/types.ts";

export type TokenRow = Selectable<TokensTable>;
/** With the e-mail of the member whose it is. */
export type ListedToken = TokenRow & { email: string | null };
/** With that member. */
export type FoundToken = ListedToken & { member_name: string | null; role: MemberRole | null };

const FIND = {
  name: "find_token",
  text: `SELECT t.*, m.email, m.name AS member_name, m.role FROM tokens t LEFT JOIN members m ON m.id = t.member
    WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > now()) AND m.disabled IS NOT TRUE`,
};

export async function findToken(q: Queryable, hash: string): Promise<FoundToken | undefined> {
  return (await q.query<FoundToken>(FIND, [hash])).rows[0];
}

/** Notes a use, at most once a minute. */
export async function touchToken(q: Queryable, hash: string): Promise<void> {
  await q.query(
    "UPDATE tokens SET last_used_at = now() WHERE hash = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')",
    [hash],
  );
}

/** One token a name and organisation: giving another one under the same name replaces it. */
export async function putToken(db: Database, org: string, name: string, hash: string, scopes: TokenScope[]) {
  await db.kysely
    .insertInto("tokens")
    .values({ org, name, hash, scopes })
    .onConflict((c) => c.columns(["org", "name"]).doUpdateSet({ hash, scopes }))
    .execute();
}

/** Undefined when the organisation has a token of that name already. */
export async function insertToken(
  q: Queryable,
  token: Pick<TokenRow, "org" | "name" | "hash" | "scopes" | "created_by" | "member"> & { seconds: number | null },
): Promise<TokenRow | undefined> {
  const { rows } = await q.query<TokenRow>(
    `INSERT INTO tokens (org, name, hash, scopes, created_by, member, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, now() + $7::double precision * interval '1 second')
     ON CONFLICT (org, name) DO NOTHING RETURNING *`,
    [token.org, token.name, token.hash, token.scopes, token.created_by, token.member, token.seconds],
  );
  return rows[0];
}

export async function listTokens(q: Queryable, org: string): Promise<ListedToken[]> {
  const { rows } = await q.query<ListedToken>(
    `SELECT t.*, m.email FROM tokens t LEFT JOIN members m ON m.id = t.member WHERE t.org = $1 ORDER BY t.created_at, t.name`,
    [org],
  );
  return rows;
}

/** Deletes a token and tells all servers to forget it; its sign-ins go with it. */
export async function deleteToken(q: Queryable, payload: string, org: string, id: string): Promise<boolean> {
  const { rowCount } = await q.query(
    "WITH gone AS (DELETE FROM tokens WHERE org = $2 AND id = $3 RETURNING id) SELECT pg_notify('mags_events', $1) FROM gone",
    [payload, org, id],
  );
  return rowCount === 1;
}

export async function insertOrganisation(q: Queryable, id: string): Promise<boolean> {
  const { rowCount } = await q.query("INSERT INTO organisations (id) VALUES ($1) ON CONFLICT DO NOTHING", [id]);
  return rowCount === 1;
}

export async function listOrganisations(q: Queryable) {
  const { rows } = await q.query<{ id: string; created_at: Date; tokens: number }>(
    `SELECT o.id, o.created_at, count(t.hash)::int AS tokens FROM organisations o LEFT JOIN tokens t ON t.org = o.id
     GROUP BY o.id ORDER BY o.created_at, o.id`,
  );
  return rows;
}
