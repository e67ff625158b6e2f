import { isFinal, type Job, type LogEnd } from "@mags/protocol";
import type { JobRow } from "./store.ts";

const iso = (date: Date | null) => date?.toISOString() ?? null;

/** A row as the public API shows it. Its host name is below that of `appsUrl`; `waitingFor` says what keeps it from starting. */
export function toJob(row: JobRow, { protocol, host }: URL, waitingFor?: string): Job {
  return {
    request_id: row.id,
    name: row.name,
    status: row.status,
    vm_id: row.ran_by?.machine ?? null,
    subdomain: row.subdomain,
    url: row.subdomain && `${protocol}//${row.subdomain}.${host}`,
    exit_code: row.exit_code,
    signal: row.signal,
    error: row.error,
    reason: row.reason,
    workspace_id: row.workspace_name,
    base_workspace_id: row.base_name,
    started_from: row.started_from,
    rerun_of: row.rerun_of,
    host_job: row.host_job,
    waiting_for: waitingFor ?? null,
    persistent: row.persistent,
    no_sleep: row.no_sleep,
    idle_minutes: row.idle_minutes,
    activity: activityOf(row),
    startup_command: row.startup_command,
    timeout: row.timeout,
    network: row.network ?? "default",
    attempt: row.attempt,
    node_retries: row.node_retries,
    lost_attempts: row.lost_attempts,
    created_at: row.created_at.toISOString(),
    started_at: iso(row.started_at),
    completed_at: iso(row.completed_at),
    script_duration_ms: row.script_duration_ms,
    duration_ms: row.completed_at ? row.completed_at.getTime() - row.created_at.getTime() : null,
    log_truncated: row.log_truncated,
    ran_by: row.ran_by,
    secrets: row.secrets ?? {},
    created_by: row.created_by,
    cron_id: row.cron,
    http_request_id: row.request_id,
  };
}

function activityOf(row: JobRow): Job["activity"] {
  if (!row.persistent || row.activity_since === null || isFinal(row.status)) return null;
  const state = row.status === "running" ? "awake" : row.status === "sleeping" ? "asleep" : "waking";
  const because = row.activity_because ?? "its script was started";
  return { state, because, since: row.activity_since.toISOString(), wakes: row.wakes };
}

/**
 * True when waiting for the script is over: the job is final, or it is persistent and only its machine is left. One that
 * is not persistent is final once what it wrote to its workspace is durable.
 */
export const scriptEnded = (row: JobRow): boolean =>
  isFinal(row.status) || (row.persistent && row.script_ended_at !== null);

/** The last record of the log of a job of which no log was ever written. */
export function emptyLogEnd(row: JobRow): LogEnd {
  const none = { stdout: 0, stderr: 0 };
  return {
    status: row.status,
    exit_code: row.exit_code,
    signal: row.signal,
    reason: row.reason,
    bytes: none,
    dropped: none,
  };
}
