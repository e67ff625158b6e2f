import { z } from "zod";

export const logSources = ["stdout", "stderr", "system"] as const;
export type LogSource = (typeof logSources)[number];

/**
 * One line of a job's log.
 *
 * `offset` is the position of its first byte in its source, so that the entries of a source tile it without gap or
 * overlap; `bytes` counts the newline too. `newline: false` marks text that did not end in one (the last line, or a
 * piece shown before its end came). `encoding: "base64"` appears where the bytes are no UTF-8.
 */
export const LogEntry = z.object({
  timestamp: z.string(),
  level: z.enum(["info", "error", "warn"]),
  source: z.enum(logSources),
  message: z.string(),
  offset: z.number().int(),
  bytes: z.number().int(),
  newline: z.boolean(),
  encoding: z.literal("base64").optional(),
});
export type LogEntry = z.infer<typeof LogEntry>;

const Counts = z.object({ stdout: z.number().int(), stderr: z.number().int() });

/** The last record of a log: with it a reader can tell complete from cut. Byte counts per stream. */
export const LogEnd = z.object({
  status: z.string(),
  exit_code: z.number().int().nullable(),
  signal: z.string().nullable(),
  reason: z.string().nullable(),
  bytes: Counts.describe("Bytes kept"),
  dropped: Counts.describe("Bytes dropped at the log limit"),
});
export type LogEnd = z.infer<typeof LogEnd>;

/** Answer of `GET …/logs`. `end` is null while the script still runs; `next` continues where this page stopped. */
export const Logs = z.object({
  logs: z.array(LogEntry),
  end: LogEnd.nullable(),
  next: z.string().nullable().describe("Cursor for ?after=, null when nothing more is there now"),
});

export type Logs = z.infer<typeof Logs>;

/**
 * A place in a log: bytes delivered of stdout, stderr and system, as `12.0.40`. It is the `id` of each SSE event and
 * is taken back in `Last-Event-ID` or `?after=`; positions and not record numbers, so it holds across restarts.
 */
export const LogCursor = z.string().regex(/^\d{1,15}\.\d{1,15}\.\d{1,15}$/, "must look like 12.0.40");

export const LogsQuery = z.object({
  follow: z.enum(["0", "1", "true", "false"]).optional().describe("1: Server-Sent Events until the script has ended"),
  after: LogCursor.optional(),
  limit: z.coerce.number().int().min(1).max(100_000).optional().describe("At most this many entries"),
});
