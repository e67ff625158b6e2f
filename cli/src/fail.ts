import { MagsError } from "@mags/sdk";
import { CommanderError } from "commander";
import { NoToken } from "./config.ts";
import { exitCodes } from "./exit-codes.ts";
import { err } from "./render/colours.ts";
import { complain } from "./render/output.ts";
import { harmlessLines } from "./render/table.ts";

/** The one place where an error becomes a message, a hint and an exit code. */
export function fail(error: unknown): void {
  // Commander has printed its own message by now, and throws for --help and --version too.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
    return;
  }
  // Only Ctrl-C does that, and whoever pressed it knows.
  if (error instanceof MagsError && error.code === "aborted") {
    process.exitCode = exitCodes.stopped;
    return;
  }
  complain(error instanceof Error ? error.message : String(error));
  for (const [label, text] of remarks(error)) process.stderr.write(`${err.dim(`${label}: ${harmlessLines(text)}`)}\n`);
  process.exitCode = error instanceof NoToken ? exitCodes.usage : exitCodes.failed;
}

function remarks(error: unknown): [string, string][] {
  if (error instanceof NoToken) return [["hint", error.hint]];
  if (!(error instanceof MagsError)) return [];
  const reportable = (error.statusCode ?? 0) >= 500 && error.requestId !== undefined;
  return [
    ...(error.hint ? [["hint", error.hint] as [string, string]] : []),
    ...(reportable ? [["request", error.requestId as string] as [string, string]] : []),
  ];
}
