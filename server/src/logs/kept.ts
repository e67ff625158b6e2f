import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { bringLog, logPrefix, type ObjectStore } from "@mags/storage";
import type { Database } from "../db/database.ts";

/** Jobs whose logs are removed in one transaction. */
const BATCH = 200;

/** Logs in the object store: of jobs whose node is gone, or has made room. */
export class KeptLogs {
  readonly #db: Database;
  readonly #objects: ObjectStore;
  readonly #scratch: string;
  readonly #days: number;

  private constructor(db: Database, objects: ObjectStore, scratch: string, days: number) {
    this.#db = db;
    this.#objects = objects;
    this.#scratch = scratch;
    this.#days = days;
  }

  /** `scratch` is emptied. Logs are kept for `days` after the end of their job, and for ever with 0. */
  static async open(options: { db: Database; objects: ObjectStore; scratch: string; days: number }): Promise<KeptLogs> {
    const { db, objects, scratch, days } = options;
    await rm(scratch, { recursive: true, force: true });
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    return new KeptLogs(db, objects, scratch, days);
  }

  /** What `read` makes of a directory with the log as it was copied last; undefined where none was. Throws what the store throws. */
  async with<T>({ org, id }: { org: string; id: string }, read: (dir: string) => Promise<T>): Promise<T | undefined> {
    const dir = await mkdtemp(join(this.#scratch, "log-"));
    try {
      return (await bringLog({ objects: this.#objects, org, job: id }, dir)) ? await read(dir) : undefined;
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }

  /** Removes logs whose time is over; one whose removal was cut off is removed again. */
  async sweep(signal: AbortSignal): Promise<void> {
    if (this.#days === 0) return;
    for (let found = BATCH; found === BATCH && !signal.aborted; ) {
      const { rows } = await this.#db.query<{ id: string; org: string }>(
        `SELECT id, org FROM jobs WHERE log_kept AND completed_at < now() - $1 * interval '1 day' ORDER BY completed_at LIMIT $2`,
        [this.#days, BATCH],
      );
      for (const { id, org } of rows) {
        const keys: string[] = [];
        for await (const { key } of this.#objects.list(logPrefix(org, id))) keys.push(key);
        await this.#objects.delete(keys);
      }
      await this.#db.query("UPDATE jobs SET log_kept = false WHERE id = ANY($1)", [rows.map(({ id }) => id)]);
      found = rows.length;
    }
  }
}
