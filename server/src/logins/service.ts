import { createHash, randomBytes } from "node:crypto";
import {
  ApiError,
  type ApproveLogin,
  allows,
  type ExchangeLogin,
  LOGIN_PREFIX,
  LOGIN_SECONDS,
  type LoginApproved,
  type LoginExchanged,
} from "@mags/protocol";
import type { Database } from "../db/database.ts";
import { type Caller, hashToken, type Tokens } from "../tokens/service.ts";
import { putLogin, takeLogin } from "./store.ts";

/** Programs that a person lets in: approved on a page of the dashboard, then taken up once by the program that asked. */
export class Logins {
  readonly #db: Database;
  readonly #tokens: Tokens;

  constructor(db: Database, tokens: Tokens) {
    this.#db = db;
    this.#tokens = tokens;
  }

  /** Throws ApiError forbidden for who may not make tokens, and for more than the caller may do. */
  async approve(caller: Caller, request: ApproveLogin): Promise<LoginApproved> {
    // From a token that leaked, more would come that live on when it is revoked; who is signed in is a person.
    const isPerson = caller.key.startsWith("member:");
    if (!isPerson && !allows(caller.scopes, "admin"))
      throw new ApiError("forbidden", "only a member who is signed in, or the scope admin, can let a program in");
    if (!allows(caller.scopes, request.scope))
      throw new ApiError("forbidden", `you cannot give the scope ${request.scope}, which you do not have`, "scope");
    const code = `${LOGIN_PREFIX}${randomBytes(32).toString("base64url")}`;
    await putLogin(this.#db, { ...request, code: hashToken(code), caller }, LOGIN_SECONDS);
    return { code, expires_in: LOGIN_SECONDS };
  }

  /** Throws ApiError unauthorized for a code that is wrong, used or too old, and for the secret of another program. */
  async exchange({ code, verifier }: ExchangeLogin): Promise<LoginExchanged> {
    const login = await takeLogin<Caller>(this.#db, hashToken(code));
    // A code in wrong hands is used up by this: its program asks again.
    if (!login || createHash("sha256").update(verifier).digest("base64url") !== login.challenge)
      throw new ApiError("unauthorized", "the code is wrong, was used already, or is too old: log in again", "code");
    const { caller, scope } = login;
    const name = `${login.name.slice(0, 120)} ${randomBytes(2).toString("hex")}`;
    const made = await this.#tokens.create(this.#db, caller, { name, scopes: [scope] });
    return { ...made, organisation: caller.org };
  }
}
