import type { LogEntry } from "@mags/protocol";
import { readEnd } from "./files.ts";
import { LogReader } from "./reader.ts";

/** Entries read at a time, and on a page without `limit` */
const BATCH = 1000;
const PAGE = 10_000;

export interface LogPlace {
  dir: string;
  after?: string | undefined;
  /** nothing more will come, also where the end is missing: an unfinished line is one, too */
  whole?: boolean;
}

/** One page of a log. `next` is null when nothing more is there now. Throws ENOENT without a log in `dir`. */
export async function readLogs({ dir, after, whole = false, limit = PAGE }: LogPlace & { limit?: number | undefined }) {
  // Looked at before the entries: what is read after it is complete if it was there.
  const end = await readEnd(dir);
  const reader = await LogReader.open(dir, after);
  try {
    const entries: LogEntry[] = [];
    for (;;) {
      const batch = await reader.next(Math.min(BATCH, limit - entries.length), whole || end !== null);
      for (const { entry } of batch) entries.push(entry);
      if (batch.length === 0) return { logs: entries, end, next: null };
      if (entries.length >= limit) return { logs: entries, end: null, next: reader.cursor };
    }
  } finally {
    await reader.close();
  }
}
