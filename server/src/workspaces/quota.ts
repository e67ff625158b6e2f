import { ApiError } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";
import { storedBytes } from "./chunks-store.ts";
import { countWorkspaces } from "./workspaces-store.ts";

/** What an organisation may have unless its row says otherwise. */
export interface QuotaLimits {
  workspaces: number;
  /** in the object store, each chunk counted once, `bytes` */
  storedBytes: number;
}

/** How long a sum of what is stored is believed: it reads all chunks of an organisation, `ms`. */
const BELIEVED_MS = 5000;

/** Keeps organisations within their limits. */
export class Quota {
  readonly #defaults: QuotaLimits;
  readonly #sums = new Map<string, { bytes: number; until: number }>();

  constructor(defaults: QuotaLimits) {
    this.#defaults = defaults;
  }

  /** What holds where an organisation's row says nothing. */
  get defaults(): { workspaces: number; stored_bytes: number } {
    return { workspaces: this.#defaults.workspaces, stored_bytes: this.#defaults.storedBytes };
  }

  async used(q: Queryable, org: string): Promise<{ workspaces: number; stored_bytes: number }> {
    const [workspaces, stored_bytes] = await Promise.all([countWorkspaces(q, org), storedBytes(q, org)]);
    return { workspaces, stored_bytes };
  }

  /** Whoever is about to have more of what is counted waits here for the one before: they are judged one after the other. */
  async lock(tx: Queryable, org: string): Promise<void> {
    await tx.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7070003))", [org]);
  }

  /** Throws ApiError quota_exceeded when one more workspace, made in the same transaction, would be too many. */
  async refuseWorkspace(q: Queryable, org: string): Promise<void> {
    await this.lock(q, org);
    const { workspaces } = await this.#limits(q, org);
    const there = await countWorkspaces(q, org);
    if (there >= workspaces)
      throw new ApiError(
        "quota_exceeded",
        `the organisation has ${there} workspaces and may have ${workspaces}: delete some, or ask whoever runs this server for more`,
        "workspace_id",
      );
  }

  /** Throws ApiError quota_exceeded when so much more would be too much. */
  async refuseBytes(q: Queryable, org: string, more: number): Promise<void> {
    const { storedBytes: most } = await this.#limits(q, org);
    const there = await this.#stored(q, org);
    if (there + more > most)
      throw new ApiError(
        "quota_exceeded",
        `the organisation has ${there} bytes of workspaces in the object store and may have ${most}: delete workspaces or old versions`,
      );
    const known = this.#sums.get(org);
    if (known) known.bytes += more;
  }

  async #stored(q: Queryable, org: string): Promise<number> {
    const known = this.#sums.get(org);
    if (known && known.until > Date.now()) return known.bytes;
    const bytes = await storedBytes(q, org);
    this.#sums.set(org, { bytes, until: Date.now() + BELIEVED_MS });
    return bytes;
  }

  async #limits(q: Queryable, org: string): Promise<QuotaLimits> {
    const { rows } = await q.query<{ workspaces: number | null; bytes: number | null }>(
      "SELECT max_workspaces AS workspaces, max_stored_bytes::float8 AS bytes FROM organisations WHERE id = $1",
      [org],
    );
    return {
      workspaces: rows[0]?.workspaces ?? this.#defaults.workspaces,
      storedBytes: rows[0]?.bytes ?? this.#defaults.storedBytes,
    };
  }
}
