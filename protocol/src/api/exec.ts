import { z } from "zod";
import { Environment, jobLimits } from "./jobs.ts";

/** Limits of one exec. */
export const execLimits = {
  /** output kept of each stream in an answer that is not streamed, `bytes` */
  outputBytes: 1024 * 1024,
  /** default and longest time, `seconds` */
  timeoutDefault: 300,
  timeoutMax: jobLimits.timeoutMax,
} as const;

const Text = z.string().refine((text) => !text.includes("\0"), "must not contain a NUL character");
const Encoding = z.literal("base64").optional();

/** Body of `POST /mags-jobs/:id/exec`. */
export const ExecRequest = z
  .object({
    command: Text.min(1, "must not be empty").optional().describe("Run by /bin/sh; either this or argv"),
    argv: z.array(Text).min(1, "must not be empty").max(4096).optional().describe("Program and arguments, as they are"),
    env: Environment.optional().describe("Variables over those of the job"),
    cwd: Text.optional().describe("Directory; the home of the user by default"),
    stdin: z.string().default("").describe("All of its input"),
    stdin_encoding: Encoding.describe("How stdin is written, where it is not plain text"),
    timeout: z.number().positive().max(execLimits.timeoutMax).default(execLimits.timeoutDefault).describe("Seconds"),
    user: Text.min(1).max(64).optional().describe("Name, or numbers as uid or uid:gid; root by default"),
  })
  .refine((body) => (body.command === undefined) !== (body.argv === undefined), {
    message: "is required, or argv in its place, and not both",
    path: ["command"],
  });
export type ExecRequest = z.infer<typeof ExecRequest>;

const Counts = z.object({ stdout: z.number().int(), stderr: z.number().int() });

/** How a command ended. */
export const ExecExit = z.object({
  exit_code: z.number().int().nullable(),
  signal: z.string().nullable().describe("By the shell's convention: exit code 128+n is signal n"),
  timed_out: z.boolean(),
  duration_ms: z.number(),
  bytes: Counts.describe("Bytes that were printed"),
  dropped: Counts.describe("Bytes of them that are not in the answer, because it is limited"),
});
export type ExecExit = z.infer<typeof ExecExit>;

/** Answer of an exec that is not streamed. */
export const ExecResult = ExecExit.extend({
  stdout: z.string(),
  stderr: z.string(),
  stdout_encoding: Encoding.describe("base64 where the bytes are no UTF-8"),
  stderr_encoding: Encoding,
});
export type ExecResult = z.infer<typeof ExecResult>;

/** The data of an `output` event of a streamed exec; the last event is `exit` with `ExecExit`. */
export const ExecOutput = z.object({
  source: z.enum(["stdout", "stderr"]),
  data: z.string(),
  encoding: Encoding.describe("base64 where the bytes are no UTF-8"),
});
export type ExecOutput = z.infer<typeof ExecOutput>;
