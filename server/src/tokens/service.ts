import { createHash } from "node:crypto";
import type { Database } from "../db/database.ts";
import { findToken, putToken } from "./store.ts";

const CACHE_MS = 5000;
const CACHE_LIMIT = 1000;
/** Exists from the start; the token of the data directory speaks for it. */
const FIRST_ORGANISATION = "default";

/** Whom a request comes from: the hash of the token, which also scopes its idempotency keys. */
export interface Caller {
  tokenHash: string;
  name: string;
  /** organisation that the token speaks for; it sees and changes nothing of another */
  org: string;
}

/** Tokens are kept as SHA-256 only: they are long and random, so no slow hash is needed. */
export const hashToken = (token: string): string => createHash("sha256").update(token).digest("hex");

/** Looks tokens up; a found one is remembered for 5 s, which is also how long a removed one may live on. */
export class Tokens {
  readonly #db: Database;
  readonly #known = new Map<string, { caller: Caller; until: number }>();

  constructor(db: Database) {
    this.#db = db;
  }

  async setAdmin(token: string): Promise<void> {
    await putToken(this.#db, FIRST_ORGANISATION, "admin", hashToken(token));
  }

  async authenticate(token: string): Promise<Caller | undefined> {
    const hash = hashToken(token);
    const known = this.#known.get(hash);
    if (known && known.until > Date.now()) return known.caller;
    this.#known.delete(hash);
    const row = await findToken(this.#db, hash);
    if (!row) return undefined;
    if (this.#known.size >= CACHE_LIMIT) this.#known.clear();
    const caller = { tokenHash: hash, name: row.name, org: row.org };
    this.#known.set(hash, { caller, until: Date.now() + CACHE_MS });
    return caller;
  }
}
