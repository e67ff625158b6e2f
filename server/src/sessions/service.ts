import { randomBytes } from "node:crypto";
import {
  type AcceptInvite,
  type Actor,
  ApiError,
  type ChangePassword,
  type Session,
  type SignIn,
  scopeOfRole,
} from "@mags/protocol";
import type { Audit } from "../audit/service.ts";
import { whoActs } from "../db/acting.ts";
import type { Database, Queryable } from "../db/database.ts";
import type { MemberRow, Members } from "../members/service.ts";
import { boundedScopes, type Caller, hashToken, type Tokens } from "../tokens/service.ts";
import { countAttempt, forgiveAttempt } from "./attempts.ts";
import type { Person } from "./oidc.ts";
import { findSession, putSession, removeSession, removeSessionsOf } from "./store.ts";

/** How long a sign-in lasts, `s`. */
export const SESSION_SECONDS = 12 * 3600;

export interface SignedIn {
  /** for the cookie */
  secret: string;
  session: Session;
}

/** Sign-ins of browsers. A session is a random secret in a cookie; only its hash is kept. */
export class Sessions {
  readonly #db: Database;
  readonly #tokens: Tokens;
  readonly #members: Members;
  readonly #audit: Audit;

  constructor(db: Database, tokens: Tokens, members: Members, audit: Audit) {
    this.#db = db;
    this.#tokens = tokens;
    this.#members = members;
    this.#audit = audit;
  }

  /** By token, or by e-mail and password. Throws ApiError unauthorized, rate_limited, invalid_request. */
  async signIn(request: SignIn, address: string): Promise<SignedIn> {
    const { token, email = "", password = "", organisation } = request;
    // All tokens are one account: a wrong one names nobody.
    const account = token === undefined ? `${organisation ?? ""} ${email}` : "token";
    await countAttempt(this.#db, account, token === undefined ? address : `token ${address}`);
    const made =
      token === undefined ? await this.#byPassword(email, password, organisation) : await this.#byToken(token);
    await forgiveAttempt(this.#db, account, token === undefined ? address : `token ${address}`);
    return made;
  }

  /** Chooses the password of an invitation, and signs in. Throws ApiError unauthorized, rate_limited. */
  async accept({ invite, password, name }: AcceptInvite, address: string): Promise<SignedIn> {
    await countAttempt(this.#db, "invite", `invite ${address}`);
    const made = await this.#db.transaction(async (tx) => {
      const member = await this.#members.accept(tx, invite, password, name);
      await removeSessionsOf(tx, member.org, member.id, "");
      return this.#open(tx, member, "invitation");
    });
    await forgiveAttempt(this.#db, "invite", `invite ${address}`);
    return made;
  }

  /** Signs in whom an OpenID provider has named. Throws ApiError forbidden. */
  async byPerson(person: Person): Promise<SignedIn> {
    return this.#open(this.#db, await this.#members.byIdentity(person), "openid");
  }

  async authenticate(secret: string): Promise<Caller | undefined> {
    const row = await findSession(this.#db, hashToken(secret));
    if (!row) return undefined;
    const member =
      row.member === null || row.role === null
        ? null
        : { id: row.member, email: row.email ?? "", name: row.member_name ?? "", role: row.role };
    if (row.token !== null)
      return {
        key: row.token,
        name: row.token_name ?? "",
        org: row.org,
        scopes: boundedScopes(row.scopes ?? [], row.role),
        member,
      };
    if (!member) return undefined;
    return { key: `member:${member.id}`, name: member.email, org: row.org, scopes: [scopeOfRole[member.role]], member };
  }

  /** Every other sign-in of the member ends but that of the cookie. Throws ApiError unauthorized, rate_limited, or forbidden for a token. */
  async changePassword(
    { member, org }: Caller,
    cookie: string | undefined,
    change: ChangePassword,
    address: string,
  ): Promise<void> {
    if (!member) throw new ApiError("forbidden", "a token has no password: sign in as a member");
    await countAttempt(this.#db, member.id, address);
    await this.#db.transaction(async (tx) => {
      await this.#members.changePassword(tx, org, member.id, change.current, change.password);
      await removeSessionsOf(tx, org, member.id, hashToken(cookie ?? ""));
    });
    await forgiveAttempt(this.#db, member.id, address);
  }

  async signOut(secret: string): Promise<void> {
    await removeSession(this.#db, hashToken(secret));
  }

  async #byToken(token: string): Promise<SignedIn> {
    const caller = await this.#tokens.authenticate(token);
    if (!caller) throw new ApiError("unauthorized", "the token is not known to this server", "token");
    const secret = newSecret();
    await putSession(this.#db, {
      hash: hashToken(secret),
      org: caller.org,
      token: caller.key,
      member: null,
      seconds: SESSION_SECONDS,
    });
    await this.#note(this.#db, caller.org, { kind: "token", name: caller.name }, "token", "done");
    return { secret, session: { name: caller.name, organisation: caller.org, role: caller.member?.role ?? null } };
  }

  async #byPassword(email: string, password: string, organisation: string | undefined): Promise<SignedIn> {
    const [member, another] = await this.#members.byPassword(email, password, organisation);
    if (!member) {
      for (const org of await this.#members.organisationsOf(email, organisation))
        await this.#note(this.#db, org, { kind: "member", name: email }, "password", "refused");
      throw new ApiError("unauthorized", "e-mail or password is wrong", "password");
    }
    if (another)
      throw new ApiError("invalid_request", "the e-mail is in several organisations: name one", "organisation");
    return this.#open(this.#db, member, "password");
  }

  async #open(q: Queryable, member: MemberRow, by: string): Promise<SignedIn> {
    const secret = newSecret();
    const { org, id, email, role } = member;
    await putSession(q, { hash: hashToken(secret), org, token: null, member: id, seconds: SESSION_SECONDS });
    await this.#members.noteSignIn(q, member);
    await this.#note(q, org, { kind: "member", name: email }, by, "done");
    return { secret, session: { name: email, organisation: org, role } };
  }

  async #note(q: Queryable, org: string, actor: Actor, by: string, outcome: "done" | "refused"): Promise<void> {
    const { requestId, address } = whoActs();
    const action = "session.signIn";
    await this.#audit.note(q, { org, actor, action, target: null, outcome, details: { by }, requestId, address });
  }
}

const newSecret = (): string => randomBytes(32).toString("base64url");
