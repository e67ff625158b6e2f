import { setImmediate as breathe } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import { ApiError, type Collected } from "@mags/protocol";
import type { ObjectStore } from "@mags/storage";
import type { Database } from "../db/database.ts";
import {
  condemn,
  condemned,
  condemnStrays,
  expireVersions,
  longHistories,
  noteDeleted,
  openCollection,
  organisations,
} from "./collection-store.ts";
import { expired, type Retention } from "./decide.ts";
import { readManifestFile } from "./manifest.ts";
import { readManifest } from "./versions-store.ts";
import { removeAbandoned } from "./workspaces-store.ts";

/** Any constant will do; it must only differ from other users of advisory locks in the same database. */
const LOCK = 7_070_002;
const BATCH = 500;

export interface CollectorOptions {
  retention: Retention;
  /** how long a claimed chunk waits for its version, `ms` */
  graceMs: number;
}

/**
 * Removes versions by the rules of retention, then the objects that no version needs.
 *
 * A collection begins at a moment at which no claim and no commit is under way, reads which manifests there are, and takes
 * from the chunks that were not claimed lately those that one of them names. What is left is forgotten, each unless it was
 * claimed or committed since, and its key written down in the same transaction; then the objects are deleted. Whoever claims
 * such a chunk later gets a new epoch and so a new key. So a crash at any point loses nothing and leaks nothing: the next
 * collection goes on with the keys that are written down. The lock only spares servers from doing the same work.
 */
export class Collector {
  readonly #db: Database;
  readonly #objects: ObjectStore;
  readonly #options: CollectorOptions;
  readonly #logger: Logger;

  constructor(db: Database, objects: ObjectStore, options: CollectorOptions, logger: Logger) {
    this.#db = db;
    this.#objects = objects;
    this.#options = options;
    this.#logger = logger;
  }

  /** One round over all organisations, unless another server is at it. */
  async round(signal: AbortSignal): Promise<void> {
    for (const org of await organisations(this.#db)) {
      if (signal.aborted) return;
      const done = await this.#alone(org, () => this.#collect(org, signal));
      if (done && done.objects + done.expired_versions > 0) this.#logger.info({ org, ...done }, "collected");
    }
  }

  /** Throws ApiError conflict while a collection is running. */
  async collect(org: string, signal: AbortSignal): Promise<Collected> {
    const done = await this.#alone(org, () => this.#collect(org, signal));
    if (!done) throw new ApiError("conflict", "a collection is running: try again when it has ended");
    return done;
  }

  /**
   * Deletes objects that no row knows. A collection before it, because no upload may begin with their epochs any more, and one
   * after it, which deletes. Throws as `collect`.
   */
  async removeStrays(org: string, objects: { hash: string; epoch: number }[], signal: AbortSignal): Promise<void> {
    await this.collect(org, signal);
    await this.#db.transaction((tx) =>
      condemnStrays(
        tx,
        org,
        objects.map((object) => ({ ...object, stored_bytes: 0 })),
      ),
    );
    await this.collect(org, signal);
  }

  async #alone<T>(org: string, work: () => Promise<T>): Promise<T | undefined> {
    return this.#db.transaction(async (lock) => {
      // It is there for its lock, while others do the work.
      await lock.query("SET LOCAL idle_in_transaction_session_timeout = 0");
      const { rows } = await lock.query<{ free: boolean }>(
        "SELECT pg_try_advisory_xact_lock($1, hashtext($2)) AS free",
        [LOCK, org],
      );
      return rows[0]?.free ? work() : undefined;
    });
  }

  async #collect(org: string, signal: AbortSignal): Promise<Collected> {
    await removeAbandoned(this.#db, org);
    const expired_versions = await this.#expire(org);
    const { cutoff, manifests, candidates } = await this.#db.transaction((tx) =>
      openCollection(tx, org, this.#options.graceMs),
    );
    for (const name of manifests) {
      if (signal.aborted) break;
      await this.#spare(org, name, candidates);
    }
    const chunks = signal.aborted ? [] : [...candidates].map(([hash, epoch]) => ({ hash, epoch }));
    for (let at = 0; at < chunks.length && !signal.aborted; at += BATCH)
      await this.#db.transaction((tx) => condemn(tx, org, cutoff, chunks.slice(at, at + BATCH)));
    return { expired_versions, ...(await this.#delete(org, cutoff, signal)) };
  }

  async #expire(org: string): Promise<number> {
    const { retention } = this.#options;
    let count = 0;
    for (const { workspace, versions } of await longHistories(this.#db, org, retention.keepLast)) {
      const ids = expired(versions, new Date(), retention);
      if (ids.length > 0) count += await this.#db.transaction((tx) => expireVersions(tx, org, workspace, ids));
    }
    return count;
  }

  /** Takes what a manifest names, and itself, from the candidates. */
  async #spare(org: string, name: string, candidates: Map<string, number>): Promise<void> {
    const [hash = "", epoch] = name.split(".");
    if (candidates.get(hash) === Number(epoch)) candidates.delete(hash);
    // Gone where another collection has found that no version needs it any more.
    const file = await readManifest(this.#db, org, name);
    if (!file) return;
    for (const [chunk, of] of readManifestFile(file, name).chunks)
      if (candidates.get(chunk) === of) candidates.delete(chunk);
    await breathe();
  }

  async #delete(org: string, cutoff: Date, signal: AbortSignal): Promise<{ objects: number; bytes: number }> {
    const done = { objects: 0, bytes: 0 };
    for (let after = ""; !signal.aborted; ) {
      const batch = await condemned(this.#db, org, cutoff, after, BATCH);
      if (batch.length === 0) break;
      const keys = batch.map(({ key }) => key);
      await this.#objects.delete(keys);
      await noteDeleted(this.#db, org, cutoff, keys);
      for (const { deleted, bytes } of batch) {
        if (deleted) continue;
        done.objects++;
        done.bytes += bytes;
      }
      after = keys.at(-1) ?? "";
    }
    return done;
  }
}
