import type { Assignment, ScriptEnd } from "@mags/protocol";
import { LogCapture } from "../logs/index.ts";
import type { JobContext } from "./context.ts";

/** Opens the log of a job, or goes on with the one that an earlier process left. */
export function openLog(context: JobContext, { id, secrets, masked }: Assignment): LogCapture {
  const { records, logLimitBytes, logger } = context;
  return LogCapture.open({
    dir: records.directory(id),
    limitBytes: logLimitBytes,
    mask: [...Object.values(secrets), ...masked],
    failed: (err) => logger.error({ err }, "the output of a job could not be taken; trying again"),
  });
}

/** Closes it with how the job ended, which then says whether it is whole. */
export function closeLog(log: LogCapture, end: ScriptEnd): void {
  const status = end.reason === "exited" ? "completed" : end.reason === "stopped" ? "stopped" : "error";
  log.finish({ status, exit_code: end.exit_code, signal: end.signal, reason: end.reason });
  end.log_truncated = log.truncated;
  log.close();
}
