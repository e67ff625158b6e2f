import type { Database } from "../db/database.ts";
import type { Visits } from "./visits.ts";
import { listVisits } from "./visits-store.ts";

/** A visit that does not beat for so long has lost its server, `ms`. */
const SILENT_MS = 30_000;
/** After a longer pause between two looks the database, or this server, was away: then nobody could be heard, `ms`. */
const GAP_MS = 15_000;

/** Ends the visits of servers that have died. Time is our own from look to look, so no clock that is set ends one. */
export class Abandoned {
  readonly #db: Database;
  readonly #visits: Visits;
  /** since when each visit has stood at its beat, by the clock that nobody can set */
  #since = new Map<string, number>();
  #lastLook = performance.now();

  constructor(db: Database, visits: Visits) {
    this.#db = db;
    this.#visits = visits;
  }

  async look(): Promise<void> {
    const rows = await listVisits(this.#db);
    const now = performance.now();
    if (now - this.#lastLook > GAP_MS) this.#since.clear();
    this.#lastLook = now;
    const keyOf = ({ job, beat }: { job: string; beat: number }) => `${job} ${beat}`;
    this.#since = new Map(rows.map((row) => [keyOf(row), this.#since.get(keyOf(row)) ?? now]));
    for (const row of rows) if (now - (this.#since.get(keyOf(row)) ?? now) > SILENT_MS) await this.#visits.giveUp(row);
  }
}
