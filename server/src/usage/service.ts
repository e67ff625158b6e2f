import type { UsageFigures, UsageReport, UsageRow } from "@mags/protocol";
import type { Database } from "../db/database.ts";
import { lookAtStorage, readUsageRows, type Sent, type UsageQuestion, writeEgress } from "./store.ts";

const NOTHING: UsageFigures = { jobs: 0, vcpu_seconds: 0, gb_seconds: 0, storage_gb_hours: 0, egress_bytes: 0 };
const DAY_MS = 86_400_000;

/** What organisations have used, from the rows of their jobs, what nodes tell of machines, and what is stored. */
export class UsageReports {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** What machines of a node have sent since they were made; to be told again as they send more. */
  sent(node: string, machines: Sent[]): Promise<void> {
    return writeEgress(this.#db, node, machines);
  }

  /** To be called now and again: what is stored counts from one look to the next. */
  look(): Promise<void> {
    return this.#db.transaction(lookAtStorage);
  }

  /** By day there is a row for every day, also one on which nothing was used. */
  async report(question: UsageQuestion): Promise<UsageReport> {
    const { from, to, by } = question;
    const found = await readUsageRows(this.#db, question);
    const rows = by.length === 1 && by[0] === "day" ? everyDay(found as UsageRow[], from, to) : (found as UsageRow[]);
    return { from, to, by: [...by], rows, total: found.reduce(add, { ...NOTHING }) };
  }
}

function everyDay(found: UsageRow[], from: string, to: string): UsageRow[] {
  const known = new Map(found.map((row) => [row.day, row]));
  const days = Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;
  return Array.from({ length: days }, (_, index) => {
    const day = new Date(Date.parse(from) + index * DAY_MS).toISOString().slice(0, 10);
    return known.get(day) ?? { day, ...NOTHING };
  });
}

function add(sum: UsageFigures, row: UsageFigures): UsageFigures {
  for (const name of Object.keys(NOTHING) as (keyof UsageFigures)[]) sum[name] += row[name];
  return sum;
}
