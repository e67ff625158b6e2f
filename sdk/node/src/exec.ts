import { fromBase64, toBase64 } from "./base64.ts";
import type { CallSettings } from "./http.ts";
import type { ExecResult as Answer } from "./wire.ts";

export type ExecAnswer = Answer;

/** Time limit of a command when none is given, `seconds` */
export const EXEC_SECONDS = 300;

export interface ExecOptions extends CallSettings {
  /** variables over those of the job */
  env?: Record<string, string>;
  /** home of the user by default */
  cwd?: string;
  /** all of its input */
  stdin?: string | Uint8Array;
  /** killed after so long, `seconds`; 300 by default */
  timeout?: number;
  /** name, or numbers as `uid` or `uid:gid`; root by default */
  user?: string;
}

/** How a command ended and what it printed: text where it is UTF-8, else replaced by U+FFFD; the bytes have it exactly. */
export interface ExecResult {
  exitCode: number | null;
  signal: string | null;
  timedOut: boolean;
  durationMs: number;
  stdout: string;
  stderr: string;
  stdoutBytes: Uint8Array;
  stderrBytes: Uint8Array;
  /** bytes that it printed beyond what is kept, a megabyte of each stream */
  dropped: { stdout: number; stderr: number };
}

export function toExecResult(answer: Answer): ExecResult {
  const stdoutBytes = bytesOf(answer.stdout, answer.stdout_encoding);
  const stderrBytes = bytesOf(answer.stderr, answer.stderr_encoding);
  return {
    exitCode: answer.exit_code,
    signal: answer.signal,
    timedOut: answer.timed_out,
    durationMs: answer.duration_ms,
    stdout: new TextDecoder().decode(stdoutBytes),
    stderr: new TextDecoder().decode(stderrBytes),
    stdoutBytes,
    stderrBytes,
    dropped: answer.dropped,
  };
}

/** Input that is no text, as the request has it. */
export const base64 = (bytes: Uint8Array) => ({
  stdin: toBase64(bytes),
  stdin_encoding: "base64",
});

const bytesOf = (text: string, encoding: "base64" | undefined): Uint8Array =>
  encoding === "base64" ? fromBase64(text) : new TextEncoder().encode(text);
