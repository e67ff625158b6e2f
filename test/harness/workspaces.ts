import { setTimeout as delay } from "node:timers/promises";
import type { Daemon } from "./daemon.ts";

export interface Ran {
  id: string;
  status: string;
  exit_code: number | null;
  error: string | null;
  reason: string | null;
  stdout: string[];
  system: string[];
  [field: string]: unknown;
}

/** Starts a job with any fields of the API; answers its id. Throws what was refused. */
export async function start(daemon: Daemon, job: Record<string, unknown>): Promise<string> {
  const { status, body } = await daemon.http("POST", "/api/v1/mags-jobs", job);
  if (status !== 202) throw new Error(`refused with ${status}: ${body.message}`);
  return body.request_id;
}

/** Waits for the final status of a job, then takes its output. */
export async function finished(daemon: Daemon, id: string, seconds = 90): Promise<Ran> {
  return until(daemon, id, ({ status }) => ["completed", "error", "stopped"].includes(status), seconds);
}

/** Waits until the job's status is as wanted. */
export async function until(
  daemon: Daemon,
  id: string,
  wanted: (job: { status: string; exit_code: number | null }) => boolean,
  seconds = 60,
): Promise<Ran> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const { body } = await daemon.http("GET", `/api/v1/mags-jobs/${id}/status`);
    if (wanted(body)) return { ...body, id, ...(await output(daemon, id)) };
    if (Date.now() > deadline) throw new Error(`job ${id} is ${JSON.stringify(body)} after ${seconds} s`);
    await delay(30);
  }
}

export async function output(
  daemon: Daemon,
  id: string,
): Promise<{ stdout: string[]; stderr: string[]; system: string[] }> {
  const { body } = await daemon.http("GET", `/api/v1/mags-jobs/${id}/logs?limit=10000`);
  // A lost node has taken the logs with it.
  const logs: { source: string; message: string }[] = body.logs ?? [];
  const lines = (source: string) => logs.filter((entry) => entry.source === source).map((entry) => entry.message);
  return { stdout: lines("stdout"), stderr: lines("stderr"), system: lines("system") };
}

/** Runs a job to its end. */
export const run = async (daemon: Daemon, job: Record<string, unknown>): Promise<Ran> =>
  finished(daemon, await start(daemon, job));
