import type { MemberRole } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

export interface MemberRow {
  id: string;
  org: string;
  email: string;
  name: string;
  role: MemberRole;
  password: string | null;
  identity: string | null;
  disabled: boolean;
  invite: string | null;
  invite_expires_at: Date | null;
  created_at: Date;
  last_sign_in_at: Date | null;
}

/** Undefined when the organisation has a member of that e-mail already. */
export async function insertMember(
  q: Queryable,
  member: Pick<MemberRow, "org" | "email" | "name" | "role" | "password" | "identity">,
): Promise<MemberRow | undefined> {
  const { rows } = await q.query<MemberRow>(
    `INSERT INTO members (org, email, name, role, password, identity) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (org, email) DO NOTHING RETURNING *`,
    [member.org, member.email, member.name, member.role, member.password, member.identity],
  );
  return rows[0];
}

export async function listMembers(q: Queryable, org: string): Promise<MemberRow[]> {
  return (await q.query<MemberRow>("SELECT * FROM members WHERE org = $1 ORDER BY created_at, email", [org])).rows;
}

/** All members of an organisation, locked: rules over all of them are judged and kept in one transaction. */
export async function lockMembers(tx: Queryable, org: string): Promise<MemberRow[]> {
  const { rows } = await tx.query<MemberRow>("SELECT * FROM members WHERE org = $1 ORDER BY id FOR UPDATE", [org]);
  return rows;
}

/** Those who may be meant by an e-mail, in one organisation or in all. */
export async function findByEmail(q: Queryable, email: string, org: string | undefined): Promise<MemberRow[]> {
  const { rows } = await q.query<MemberRow>(
    "SELECT * FROM members WHERE email = $1 AND ($2::text IS NULL OR org = $2) AND NOT disabled ORDER BY org LIMIT 8",
    [email, org ?? null],
  );
  return rows;
}

/** Who an OpenID provider names, by what it has said before. */
export async function findByIdentity(q: Queryable, org: string, identity: string): Promise<MemberRow | undefined> {
  const text = "SELECT * FROM members WHERE org = $1 AND identity = $2";
  return (await q.query<MemberRow>(text, [org, identity])).rows[0];
}

export async function findByInvite(tx: Queryable, hash: string): Promise<MemberRow | undefined> {
  const { rows } = await tx.query<MemberRow>(
    "SELECT * FROM members WHERE invite = $1 AND invite_expires_at > now() AND NOT disabled FOR UPDATE",
    [hash],
  );
  return rows[0];
}

type Change = Partial<
  Pick<
    MemberRow,
    "name" | "role" | "password" | "identity" | "disabled" | "invite" | "invite_expires_at" | "last_sign_in_at"
  >
>;

const CHANGEABLE: (keyof Change)[] = [
  "name",
  "role",
  "password",
  "identity",
  "disabled",
  "invite",
  "invite_expires_at",
  "last_sign_in_at",
];

/** Sets what `change` names. */
export async function changeMember(q: Queryable, org: string, id: string, change: Change): Promise<MemberRow> {
  const fields = CHANGEABLE.filter((field) => change[field] !== undefined);
  const sets = fields.map((field, index) => `${field} = $${index + 3}`).join(", ");
  const { rows } = await q.query<MemberRow>(`UPDATE members SET ${sets} WHERE org = $1 AND id = $2 RETURNING *`, [
    org,
    id,
    ...fields.map((field) => change[field]),
  ]);
  return rows[0] as MemberRow;
}

export async function deleteMember(q: Queryable, org: string, id: string): Promise<void> {
  await q.query("DELETE FROM members WHERE org = $1 AND id = $2", [org, id]);
}

/** Tells all servers to forget what they remember of tokens. */
export async function notifyTokens(q: Queryable, payload: string): Promise<void> {
  await q.query("SELECT pg_notify('mags_events', $1)", [payload]);
}
