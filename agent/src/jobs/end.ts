import { setTimeout as delay } from "node:timers/promises";
import { type CreateJob, type ScriptEnd, scriptSeconds } from "@mags/protocol";
import { StoreFull } from "@mags/storage";
import { ImageUnavailable } from "../images/index.ts";
import type { CommandEnd } from "../sandbox/driver.ts";
import { signalOf } from "../sandbox/exit-code.ts";
import { NotWritten, WorkspaceLost } from "../workspaces/index.ts";

/** What ended a job; the first of them wins. */
export type Ended =
  | { by: "script"; end: CommandEnd }
  | { by: "timeout" }
  | { by: "stop" }
  /** its machine is put away until it is wanted again */
  | { by: "sleep"; because: string }
  /** the lease is another's */
  | { by: "lost" }
  /** the machine of another job, in which it ran, ended */
  | { by: "machine"; message: string }
  /** the workspace was taken away */
  | { by: "workspace"; message: string }
  | { by: "failure"; error: Error }
  /** as an earlier process has written down */
  | { by: "record" };

/** Why there is no exit code when a start failed. */
export function failureOf(error: Error): CommandEnd {
  if (error instanceof ImageUnavailable) return { failed: "image_unavailable", message: error.message };
  return { failed: error instanceof StoreFull ? "disk_full" : "start_failed", message: error.message };
}

/** The end of a job as it is reported. `oomKills` is asked only where it matters. */
export async function describeEnd(
  ended: Ended,
  spec: CreateJob,
  startedAt: number | null,
  oomKills: () => Promise<number>,
): Promise<ScriptEnd> {
  const script_duration_ms = startedAt === null ? null : Date.now() - startedAt;
  const base = { exit_code: null, signal: null, script_duration_ms, log_truncated: false };
  switch (ended.by) {
    case "timeout":
      return { ...base, reason: "timeout", error: `the script ran longer than its limit of ${scriptSeconds(spec)} s` };
    case "machine":
      return { ...base, reason: "machine_ended", error: ended.message };
    case "workspace":
      return { ...base, reason: "workspace_lost", error: ended.message };
    case "failure":
      return withFailure(base, failureOf(ended.error));
    case "script":
      if ("failed" in ended.end) return withFailure(base, ended.end);
      break;
    default:
      return { ...base, reason: "stopped", error: null };
  }
  const { exitCode } = ended.end;
  const result = { ...base, exit_code: exitCode, signal: signalOf(exitCode) };
  if (exitCode === 137 && (await oomKills()) > 0) {
    const error = `the script needed more than its limit of ${spec.memory_mb} MiB of memory`;
    return { ...result, reason: "out_of_memory", error };
  }
  return { ...result, reason: "exited", error: null };
}

/** What is said of a workspace that could not be settled. */
export const explainUnsettled = (error: Error): string =>
  error instanceof NotWritten || error instanceof WorkspaceLost
    ? error.message
    : `${error.message}; the node keeps it and goes on trying`;

const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [200, 5000];

/**
 * Ends a job however often that fails, until the agent closes: on a full disk nothing can be written down before there is room
 * again, and nobody else would end the machine. Never throws.
 */
export async function insist(work: () => Promise<void>, closing: AbortSignal, failed: (cause: Error) => void) {
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (cause) {
      failed(cause as Error);
    }
    if (closing.aborted) return;
    await delay(pause, undefined, { signal: closing }).catch(() => undefined);
  }
}

type Base = Pick<ScriptEnd, "exit_code" | "signal" | "script_duration_ms" | "log_truncated">;

function withFailure(base: Base, end: CommandEnd): ScriptEnd {
  if (!("failed" in end)) throw new Error("a command with an exit code did not fail");
  return { ...base, reason: end.failed, error: end.message };
}
