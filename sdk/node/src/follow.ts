import type { LogEnd, LogEntry } from "@mags/protocol";
import { MagsError } from "./errors.ts";
import { call, type HttpOptions, pause } from "./http.ts";
import { parseEvents } from "./sse.ts";

/** An entry with the cursor that resumes after it, or the record that closes the log. */
export type Followed = ({ type: "entry"; cursor: string } & LogEntry) | ({ type: "end" } & LogEnd);

const RECONNECT_MS = 200;
/** Without a single event for this long in spite of reconnecting, following is given up, `ms` */
const GIVE_UP_MS = 60_000;

/**
 * Yields a log as it grows and, last, its end. A cut connection is taken up at the exact byte, also across restarts of
 * the server. Throws MagsError when the job is unknown or the server stays away for a minute.
 */
export async function* followLogs(
  http: HttpOptions,
  id: string,
  options: { after?: string; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Followed> {
  let cursor = options.after;
  let alive = Date.now();
  while (!options.signal?.aborted) {
    try {
      const headers: Record<string, string> = {
        accept: "text/event-stream",
        ...(cursor ? { "last-event-id": cursor } : {}),
      };
      const path = `/mags-jobs/${encodeURIComponent(id)}/logs?follow=1`;
      const response = await call(http, "GET", path, { headers, signal: options.signal, timeout: 24 * 3600 });
      for await (const event of parseEvents(response.body as unknown as AsyncIterable<Uint8Array>)) {
        alive = Date.now();
        if (event.event === "end") {
          yield { type: "end", ...(JSON.parse(event.data) as LogEnd) };
          return;
        }
        if (event.event !== "entry") continue;
        cursor = event.id as string;
        yield { type: "entry", cursor, ...(JSON.parse(event.data) as LogEntry) };
      }
    } catch (error) {
      if (options.signal?.aborted) return;
      const status = error instanceof MagsError ? error.statusCode : undefined;
      if (status !== undefined && status < 500) throw error;
      if (Date.now() - alive > GIVE_UP_MS) throw error;
    }
    await pause(RECONNECT_MS, options.signal);
  }
}

/** The exact bytes of an entry, with its newline. */
export function entryBytes(entry: LogEntry): Uint8Array {
  const text =
    entry.encoding === "base64"
      ? Uint8Array.from(atob(entry.message), (char) => char.charCodeAt(0))
      : new TextEncoder().encode(entry.message);
  if (!entry.newline) return text;
  const line = new Uint8Array(text.length + 1);
  line.set(text);
  line[text.length] = 10;
  return line;
}
