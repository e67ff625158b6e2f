import { createHash, randomBytes } from "node:crypto";
import type { Logger } from "@mags/kit";
import {
  ApiError,
  allows,
  type CreateToken,
  type MemberRole,
  type OrganisationList,
  type OrganisationMade,
  scopeOfRole,
  type Token,
  type TokenList,
  type TokenMade,
  type TokenScope,
} from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import { type Bucket, take } from "./bucket.ts";
import {
  deleteToken,
  type FoundToken,
  findToken,
  insertOrganisation,
  insertToken,
  type ListedToken,
  listOrganisations,
  listTokens,
  putToken,
  touchToken,
} from "./store.ts";

const CACHE_MS = 5000;
const CACHE_LIMIT = 1000;
/** Said when what is remembered of tokens may be wrong. */
export const TOKENS_TOPIC = "tokens";
/** Exists from the start; the token of the data directory speaks for it. */
const FIRST_ORGANISATION = "default";

/** Whom a request comes from. */
export interface Caller {
  /** the hash of the token, or `member:<id>` in a member's session: what idempotency keys and rate limits go by */
  key: string;
  /** of the token, or the member's e-mail */
  name: string;
  /** organisation that the token speaks for; it sees and changes nothing of another */
  org: string;
  scopes: TokenScope[];
  /** who is signed in, or whose token it is */
  member: { id: string; email: string; name: string; role: MemberRole } | null;
}

export interface TokenOptions {
  /** requests a minute that one token may make of one server; 0 is no limit */
  requestsPerMinute: number;
}

/** Tokens are kept as SHA-256 only: they are long and random, so no slow hash is needed. */
export const hashToken = (token: string): string => createHash("sha256").update(token).digest("hex");

/**
 * Who may come in, and what for. A found token is remembered for 5 s; one that is revoked is forgotten at once by all
 * servers, which tell each other.
 */
export class Tokens {
  readonly #db: Database;
  readonly #events: Events;
  readonly #options: TokenOptions;
  readonly #logger: Logger;
  readonly #known = new Map<string, { caller: Caller; until: number }>();
  readonly #buckets = new Map<string, Bucket>();

  constructor(db: Database, events: Events, options: TokenOptions, logger: Logger) {
    this.#db = db;
    this.#events = events;
    this.#options = options;
    this.#logger = logger;
    events.on(TOKENS_TOPIC, () => this.#known.clear());
  }

  async setAdmin(token: string): Promise<void> {
    await putToken(this.#db, FIRST_ORGANISATION, "admin", hashToken(token), ["operator"]);
  }

  async authenticate(token: string): Promise<Caller | undefined> {
    const hash = hashToken(token);
    const known = this.#known.get(hash);
    if (known && known.until > Date.now()) return known.caller;
    this.#known.delete(hash);
    const row = await findToken(this.#db, hash);
    if (!row) return undefined;
    if (this.#known.size >= CACHE_LIMIT) this.#known.clear();
    const caller: Caller = {
      key: hash,
      name: row.name,
      org: row.org,
      scopes: boundedScopes(row.scopes, row.role),
      member: memberOf(row),
    };
    const until = Math.min(Date.now() + CACHE_MS, row.expires_at?.getTime() ?? Number.POSITIVE_INFINITY);
    this.#known.set(hash, { caller, until });
    touchToken(this.#db, hash).catch((err) => this.#logger.debug({ err: err.message }, "a use was not noted"));
    return caller;
  }

  /** Counts a request. Answers how long the caller has to wait first, `seconds`; 0 for not at all. */
  admit({ key }: Caller): number {
    const { requestsPerMinute } = this.#options;
    if (requestsPerMinute === 0) return 0;
    const { bucket, wait } = take(this.#buckets.get(key), requestsPerMinute, performance.now());
    if (this.#buckets.size >= CACHE_LIMIT) this.#buckets.clear();
    this.#buckets.set(key, bucket);
    return wait;
  }

  /** Throws ApiError conflict for a name that is taken, forbidden for more than the maker may do. */
  async create(q: Queryable, maker: Caller, request: CreateToken): Promise<TokenMade> {
    const beyond = request.scopes.find((scope) => !allows(maker.scopes, scope));
    if (beyond) throw new ApiError("forbidden", `a token without the scope ${beyond} cannot give it`, "scopes");
    return this.#make(q, maker.org, request, maker);
  }

  async list(org: string): Promise<TokenList> {
    const rows = await listTokens(this.#db, org);
    return { tokens: rows.map(toToken), total: rows.length };
  }

  /** From then on no server takes it. Throws ApiError not_found. */
  async revoke(org: string, id: string): Promise<void> {
    if (!(await deleteToken(this.#db, this.#events.payload(TOKENS_TOPIC), org, id)))
      throw new ApiError("not_found", `there is no token ${id}`);
    this.#events.emit(TOKENS_TOPIC);
  }

  /** Throws ApiError conflict for one that exists. */
  async createOrganisation(q: Queryable, id: string, maker: Caller): Promise<OrganisationMade> {
    if (!(await insertOrganisation(q, id))) throw new ApiError("conflict", `organisation ${id} already exists`, "id");
    return { id, token: await this.#make(q, id, { name: "admin", scopes: ["admin"] }, { ...maker, member: null }) };
  }

  async organisations(): Promise<OrganisationList> {
    const rows = await listOrganisations(this.#db);
    const organisations = rows.map((row) => ({ ...row, created_at: row.created_at.toISOString() }));
    return { organisations, total: rows.length };
  }

  async #make(q: Queryable, org: string, { name, scopes, expires_in_days: days }: CreateToken, maker: Caller) {
    const token = `mags_${randomBytes(24).toString("base64url")}`;
    const seconds = days === undefined ? null : days * 24 * 3600;
    const made = {
      org,
      name,
      hash: hashToken(token),
      scopes,
      created_by: maker.name,
      member: maker.member?.id ?? null,
    };
    const row = await insertToken(q, { ...made, seconds });
    if (!row) throw new ApiError("conflict", `a token with the name ${JSON.stringify(name)} already exists`, "name");
    return { ...toToken({ ...row, email: maker.member?.email ?? null }), token };
  }
}

const memberOf = ({ member, email, member_name, role }: FoundToken): Caller["member"] =>
  member === null || role === null ? null : { id: member, email: email ?? "", name: member_name ?? "", role };

/** What a token may do: no more than the member whose it is. */
export const boundedScopes = (scopes: TokenScope[], role: MemberRole | null): TokenScope[] =>
  role === null || scopes.every((scope) => allows([scopeOfRole[role]], scope)) ? scopes : [scopeOfRole[role]];

const toToken = (row: ListedToken): Token => ({
  id: row.id,
  name: row.name,
  scopes: row.scopes,
  created_by: row.created_by,
  member: row.email,
  created_at: row.created_at.toISOString(),
  expires_at: row.expires_at?.toISOString() ?? null,
  last_used_at: row.last_used_at?.toISOString() ?? null,
});
