import { entryBytes, type Followed } from "@mags/sdk";
import { exitCodes } from "../exit-codes.ts";
import { err } from "./colours.ts";
import { harmless, harmlessLines } from "./table.ts";

type Entry = Omit<Extract<Followed, { type: "entry" }>, "type" | "cursor">;

let farewell: () => Promise<unknown> = async () => undefined;

/** What to do before leaving because nobody reads the output any more, as in `mags run yes | head -1`. */
export function beforeLeaving(action: () => Promise<unknown>): void {
  farewell = action;
}

/** Ends the command, as SIGPIPE ends others, when a reader of its output has gone. */
export function leaveWithReader(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", async (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
      await farewell().catch(() => undefined);
      process.exit(exitCodes.readerGone);
    });
  }
}

/** Says on standard error what went wrong, in words that may be the server's, or those of a program in a machine. */
export const complain = (text: string, label = "error") =>
  void process.stderr.write(`${err.red(label)}: ${harmlessLines(text)}\n`);

export const printJson = (value: unknown) => void process.stdout.write(`${JSON.stringify(value)}\n`);

/**
 * Writes a log entry byte for byte: stdout to stdout, stderr to stderr. What Mags itself says about a job is shown with
 * `verbose` only, except warnings: they tell of output that is missing.
 */
export async function writeEntry(entry: Entry, options: { verbose?: boolean; stdoutTo?: NodeJS.WriteStream } = {}) {
  if (entry.source === "system") {
    if (options.verbose || entry.level === "warn")
      process.stderr.write(`${err.dim(`mags: ${harmless(entry.message)}`)}\n`);
    return;
  }
  const target = entry.source === "stdout" ? (options.stdoutTo ?? process.stdout) : process.stderr;
  // Not events.once: it would reject when the reader goes, which is for leaveWithReader to deal with.
  if (!target.write(entryBytes(entry))) await new Promise((resolve) => target.once("drain", resolve));
}
