import { fromBase64 } from "./base64.ts";
import { MagsError } from "./errors.ts";
import { type HttpOptions, openStream, pause, pauseBefore } from "./http.ts";
import { parseEvents } from "./sse.ts";
import type { LogEnd, LogEntry } from "./wire.ts";

/** An entry with the cursor that resumes after it, or the record that closes the log. */
export type Followed = ({ type: "entry"; cursor: string } & LogEntry) | ({ type: "end" } & LogEnd);

/** Times of following, `ms`; a test makes them short. */
export interface FollowTimes {
  longestPauseMs: number;
  /** after this long without a byte in spite of reconnecting, following is given up */
  giveUpMs: number;
  /** a connection this long without a byte is dead: the server sends a heartbeat every 10 s */
  silenceMs: number;
}
const TIMES: FollowTimes = { longestPauseMs: 2000, giveUpMs: 60_000, silenceMs: 30_000 };

/**
 * Yields a log as it grows and, last, its end. A connection that is cut or falls silent is taken up at the exact byte,
 * also across restarts of the server; an aborted `signal` ends the iteration without an `end`.
 * Throws MagsError when the server refuses (unknown job, wrong token) or stays away for a minute.
 */
export async function* followLogs(
  http: HttpOptions,
  id: string,
  options: { after?: string; signal?: AbortSignal | undefined } = {},
  times: FollowTimes = TIMES,
): AsyncGenerator<Followed> {
  const state: State = { cursor: options.after, aliveAt: Date.now(), failures: 0 };
  while (!options.signal?.aborted) {
    let wait = 0;
    try {
      for await (const item of connection(http, id, state, options.signal, times)) {
        yield item;
        if (item.type === "end") return;
      }
      state.failures++;
      wait = Math.min(times.longestPauseMs, 100 * 2 ** state.failures);
    } catch (error) {
      if (options.signal?.aborted) return;
      const failure = toFailure(error);
      const pauseMs = pauseBefore(failure, ++state.failures, times.longestPauseMs);
      if (pauseMs === undefined || Date.now() - state.aliveAt > times.giveUpMs) throw failure;
      wait = pauseMs;
    }
    await pause(wait, options.signal);
  }
}

interface State {
  cursor: string | undefined;
  /** when the last byte came, heartbeats included: a quiet job is not a dead server */
  aliveAt: number;
  /** connections in a row that brought no event */
  failures: number;
}

/** The items of one connection, until the server closes it. */
async function* connection(
  http: HttpOptions,
  id: string,
  state: State,
  signal: AbortSignal | undefined,
  times: FollowTimes,
): AsyncGenerator<Followed> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), times.silenceMs);
  const heard = () => {
    state.aliveAt = Date.now();
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), times.silenceMs);
  };
  try {
    const body = await openStream(http, `/mags-jobs/${encodeURIComponent(id)}/logs?follow=1`, {
      headers: state.cursor ? { "last-event-id": state.cursor } : {},
      signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
    });
    for await (const { event, id: cursor, data } of parseEvents(tap(body, heard))) {
      // What came in the same piece as the last item was not asked for any more.
      if (signal?.aborted) return;
      if (event !== "entry" && event !== "end") continue;
      state.failures = 0;
      // The consumer may take its time with an item; only waiting for the server counts as silence.
      clearTimeout(timer);
      if (event === "end") yield { type: "end", ...(JSON.parse(data) as LogEnd) };
      else {
        const item: Followed = { type: "entry", cursor: cursor ?? "", ...(JSON.parse(data) as LogEntry) };
        state.cursor = cursor ?? state.cursor;
        yield item;
      }
      heard();
    }
  } finally {
    clearTimeout(timer);
    // Whoever stops iterating early must not leave the connection open.
    silence.abort();
  }
}

async function* tap(chunks: AsyncIterable<Uint8Array>, heard: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    heard();
    yield chunk;
  }
}

/** What a stream threw; one that was cut in the middle is an error after which one tries again. */
function toFailure(cause: unknown): MagsError {
  if (cause instanceof MagsError) return cause;
  const { message } = cause as Error;
  if (cause instanceof SyntaxError)
    return new MagsError(`the log stream holds no JSON: ${message}`, { cause, code: "malformed_answer" });
  return new MagsError(`the log stream was cut: ${message}`, { cause, code: "unreachable" });
}

/** The exact bytes of an entry, with its newline. */
export function entryBytes(entry: Pick<LogEntry, "message" | "newline" | "encoding">): Uint8Array {
  const text = entry.encoding === "base64" ? fromBase64(entry.message) : new TextEncoder().encode(entry.message);
  if (!entry.newline) return text;
  const line = new Uint8Array(text.length + 1);
  line.set(text);
  line[text.length] = 10;
  return line;
}
