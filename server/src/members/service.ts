import { randomBytes } from "node:crypto";
import {
  type AddMember,
  ApiError,
  type Member,
  type MemberList,
  type MemberMade,
  type UpdateMember,
} from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import { type Caller, hashToken, TOKENS_TOPIC } from "../tokens/service.ts";
import { refuseChange } from "./decide.ts";
import { hashPassword, passwordMatches } from "./password.ts";
import {
  changeMember,
  deleteMember,
  findByEmail,
  findByIdentity,
  findByInvite,
  insertMember,
  listMembers,
  lockMembers,
  type MemberRow,
  notifyTokens,
} from "./store.ts";

const INVITE_DAYS = 7;

/** The people of organisations. What they may do follows from their role; see `decide.ts` for who may change whom. */
export class Members {
  readonly #db: Database;
  readonly #events: Events;
  readonly #publicUrl: string;

  /** `publicUrl` is where browsers find this server; invitations lead there. */
  constructor(db: Database, events: Events, publicUrl: string) {
    this.#db = db;
    this.#events = events;
    this.#publicUrl = publicUrl;
  }

  async list(org: string): Promise<MemberList> {
    const rows = await listMembers(this.#db, org);
    return { members: rows.map(toMember), total: rows.length };
  }

  /** Throws ApiError conflict for an e-mail that is there, forbidden. */
  async add(caller: Caller, { email, name, role, password }: AddMember): Promise<MemberMade> {
    const hash = password === undefined ? null : await hashPassword(password);
    return this.#db.transaction(async (tx) => {
      refuse(refuseChange(caller, await lockMembers(tx, caller.org), undefined, { role, disabled: false }));
      const row = await insertMember(tx, { org: caller.org, email, name, role, password: hash, identity: null });
      if (!row) throw new ApiError("conflict", `${email} is a member already`, "email");
      return hash === null ? this.#invite(tx, row) : { ...toMember(row), invite: null };
    });
  }

  /** Who is disabled is out at once, on every server, tokens too. Throws ApiError not_found, forbidden, conflict. */
  async update(caller: Caller, id: string, change: UpdateMember): Promise<Member> {
    const row = await this.#db.transaction(async (tx) => {
      const { members, member } = await this.#lock(tx, caller.org, id);
      const after = { role: change.role ?? member.role, disabled: change.disabled ?? member.disabled };
      refuse(refuseChange(caller, members, member, after));
      await notifyTokens(tx, this.#events.payload(TOKENS_TOPIC));
      return changeMember(tx, caller.org, id, change);
    });
    this.#events.emit(TOKENS_TOPIC);
    return toMember(row);
  }

  /** With all tokens and sign-ins. Throws ApiError as `update` does. */
  async remove(caller: Caller, id: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      const { members, member } = await this.#lock(tx, caller.org, id);
      refuse(refuseChange(caller, members, member, null));
      await notifyTokens(tx, this.#events.payload(TOKENS_TOPIC));
      await deleteMember(tx, caller.org, id);
    });
    this.#events.emit(TOKENS_TOPIC);
  }

  /** A new link for somebody who lost the old one, or the password; the old link ends. Throws ApiError as `update` does. */
  async invite(caller: Caller, id: string): Promise<MemberMade> {
    return this.#db.transaction(async (tx) => {
      const { members, member } = await this.#lock(tx, caller.org, id);
      refuse(refuseChange(caller, members, member, member));
      if (member.disabled) throw new ApiError("conflict", `${member.email} is disabled: enable the member first`);
      return this.#invite(tx, member);
    });
  }

  /** Who has accepted. Throws ApiError unauthorized for an invitation that is none (any more). */
  async accept(tx: Queryable, invite: string, password: string, name: string | undefined): Promise<MemberRow> {
    const member = await findByInvite(tx, hashToken(invite));
    if (!member)
      throw new ApiError("unauthorized", "the invitation is not valid any more: ask for a new one", "invite");
    const change = { password: await hashPassword(password), invite: null, invite_expires_at: null };
    return changeMember(tx, member.org, member.id, { ...change, name: name || member.name });
  }

  /** Those whom e-mail and password fit: nobody, one, or several where somebody is in several organisations. */
  async byPassword(email: string, password: string, org: string | undefined): Promise<MemberRow[]> {
    const candidates = await findByEmail(this.#db, email, org);
    if (candidates.length === 0) await passwordMatches(password, null);
    const fitting = await Promise.all(candidates.map((row) => passwordMatches(password, row.password)));
    return candidates.filter((_, index) => fitting[index]);
  }

  /** Where the e-mail is a member's, at most `org`. */
  async organisationsOf(email: string, org: string | undefined): Promise<string[]> {
    return (await findByEmail(this.#db, email, org)).map((row) => row.org);
  }

  /** Throws ApiError unauthorized for a wrong `current`. */
  async changePassword(tx: Queryable, org: string, id: string, current: string, password: string): Promise<void> {
    const { member } = await this.#lock(tx, org, id);
    if (!(await passwordMatches(current, member.password)))
      throw new ApiError("unauthorized", "the current password is wrong", "current");
    await changeMember(tx, org, id, { password: await hashPassword(password) });
  }

  /**
   * The member whom an OpenID provider names: by identity, else by e-mail where no other identity has it, else a new one.
   * Throws ApiError forbidden for one that is disabled, or of another identity.
   */
  async byIdentity(
    person: Pick<MemberRow, "org" | "email" | "name" | "role"> & { identity: string },
  ): Promise<MemberRow> {
    const { org, email, identity } = person;
    const known =
      (await findByIdentity(this.#db, org, identity)) ??
      (await insertMember(this.#db, { ...person, password: null })) ??
      (await findByEmail(this.#db, email, org))[0];
    if (!known || known.disabled) throw new ApiError("forbidden", `${email} is disabled here`);
    if (known.identity !== null && known.identity !== identity)
      throw new ApiError("forbidden", `${email} is bound to another identity of the provider`);
    return known.identity === identity ? known : changeMember(this.#db, org, known.id, { identity });
  }

  async noteSignIn(q: Queryable, { org, id }: MemberRow): Promise<void> {
    await changeMember(q, org, id, { last_sign_in_at: new Date() });
  }

  async #invite(tx: Queryable, { org, id }: MemberRow): Promise<MemberMade> {
    const token = randomBytes(24).toString("base64url");
    const expires = new Date(Date.now() + INVITE_DAYS * 24 * 3600_000);
    const row = await changeMember(tx, org, id, { invite: hashToken(token), invite_expires_at: expires });
    const url = `${this.#publicUrl}/invite#${token}`;
    return { ...toMember(row), invite: { token, url, expires_at: expires.toISOString() } };
  }

  async #lock(tx: Queryable, org: string, id: string): Promise<{ members: MemberRow[]; member: MemberRow }> {
    const members = await lockMembers(tx, org);
    const member = members.find((row) => row.id === id);
    if (!member) throw new ApiError("not_found", `there is no member ${id}`);
    return { members, member };
  }
}

export type { MemberRow } from "./store.ts";

const refuse = (refusal: ReturnType<typeof refuseChange>): void => {
  if (refusal) throw new ApiError(refusal.code, refusal.message, "role");
};

const toMember = (row: MemberRow): Member => ({
  id: row.id,
  email: row.email,
  name: row.name,
  role: row.role,
  state: row.disabled ? "disabled" : row.password || row.identity ? "active" : "invited",
  has_password: row.password !== null,
  last_sign_in_at: row.last_sign_in_at?.toISOString() ?? null,
  created_at: row.created_at.toISOString(),
});
