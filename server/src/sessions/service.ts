import { randomBytes } from "node:crypto";
import { ApiError } from "@mags/protocol";
import type { Database } from "../db/database.ts";
import { type Caller, hashToken, type Tokens } from "../tokens/service.ts";
import { findSession, putSession, removeSession } from "./store.ts";

/** How long a sign-in lasts, `s`. */
export const SESSION_SECONDS = 12 * 3600;
/** Wrong tokens from one address within the window, before it has to wait. */
const MOST_FAILURES = 10;
const WINDOW_MS = 60_000;
const MOST_ADDRESSES = 10_000;

/** Sign-ins of browsers. A session is a random secret in a cookie; only its hash is kept. */
export class Sessions {
  readonly #db: Database;
  readonly #tokens: Tokens;
  readonly #failures = new Map<string, { count: number; until: number }>();

  constructor(db: Database, tokens: Tokens) {
    this.#db = db;
    this.#tokens = tokens;
  }

  /** Answers the secret for the cookie. Throws ApiError unauthorized, or rate_limited after too many wrong tokens. */
  async signIn(token: string, address: string): Promise<{ secret: string; caller: Caller }> {
    const failures = this.#failures.get(address);
    if (failures && failures.until > Date.now() && failures.count >= MOST_FAILURES)
      throw new ApiError("rate_limited", "too many wrong tokens came from this address: wait a minute");
    const caller = await this.#tokens.authenticate(token);
    if (!caller) {
      this.#countFailure(address);
      throw new ApiError("unauthorized", "the token is not known to this server", "token");
    }
    const secret = randomBytes(32).toString("base64url");
    const session = { hash: hashToken(secret), org: caller.org, token: caller.tokenHash, seconds: SESSION_SECONDS };
    await putSession(this.#db, session);
    return { secret, caller };
  }

  async authenticate(secret: string): Promise<Caller | undefined> {
    const row = await findSession(this.#db, hashToken(secret));
    return row && { tokenHash: row.token, name: row.name, org: row.org, scopes: row.scopes };
  }

  async signOut(secret: string): Promise<void> {
    await removeSession(this.#db, hashToken(secret));
  }

  #countFailure(address: string): void {
    const now = Date.now();
    const known = this.#failures.get(address);
    const fresh = !known || known.until < now;
    if (fresh && this.#failures.size >= MOST_ADDRESSES) this.#failures.clear();
    this.#failures.set(address, fresh ? { count: 1, until: now + WINDOW_MS } : { ...known, count: known.count + 1 });
  }
}
