import type { Job, Logs } from "@mags/protocol";
import { environment } from "./config.ts";
import { MagsError } from "./errors.ts";
import { entryBytes, type Followed, followLogs } from "./follow.ts";
import { type CallOptions, call, type HttpOptions } from "./http.ts";

export interface MagsOptions {
  /** MAGS_API_TOKEN or MAGS_TOKEN by default */
  apiToken?: string;
  /** MAGS_API_URL, else http://127.0.0.1:7070 */
  apiUrl?: string;
  /** for one request, `seconds`; 30 by default */
  timeout?: number;
}

export interface RunOptions {
  name?: string;
  /** keep the machine after the script */
  persistent?: boolean;
  ephemeral?: boolean;
  noSleep?: boolean;
  startupCommand?: string;
  environment?: Record<string, string>;
  /** time the script may run, `seconds`; 300 by default */
  timeout?: number;
  vcpus?: number;
  memoryMb?: number;
  diskGb?: number;
  rootfsType?: string;
  /** weakest isolation that is accepted */
  isolation?: "container" | "vm";
  signal?: AbortSignal;
}

export interface RunResult {
  requestId: string;
  status: Job["status"];
  exitCode: number | null;
  signal: string | null;
  error: string | null;
  durationMs: number | null;
  scriptDurationMs: number | null;
  stdout: string;
  stderr: string;
  logs: Logs["logs"];
}

export interface ListOptions {
  page?: number;
  pageSize?: number;
  status?: Job["status"];
  name?: string;
}

/** Longest time that the server holds a status request, `seconds` */
const WAIT_SECONDS = 25;

/** A client of one Mags server. All calls throw MagsError; those with a `signal` stop when it is aborted. */
export class Mags {
  readonly #http: HttpOptions;

  constructor(options: MagsOptions = {}) {
    const { apiToken, apiUrl } = environment();
    this.#http = {
      apiToken: options.apiToken ?? apiToken,
      apiUrl: (options.apiUrl ?? apiUrl).replace(/\/+$/, ""),
      timeout: options.timeout ?? 30,
    };
  }

  /** Starts a job and returns at once. */
  async run(
    script: string,
    options: RunOptions = {},
  ): Promise<{ requestId: string; name: string; status: Job["status"] }> {
    const { noSleep, startupCommand, memoryMb, diskGb, rootfsType, signal, ...same } = options;
    const body = {
      script,
      ...same,
      no_sleep: noSleep,
      startup_command: startupCommand,
      memory_mb: memoryMb,
      disk_gb: diskGb,
      rootfs_type: rootfsType,
    };
    const answer = await this.#json<{ request_id: string; name: string; status: Job["status"] }>("POST", "/mags-jobs", {
      body,
      signal,
    });
    return { requestId: answer.request_id, name: answer.name, status: answer.status };
  }

  /** Runs a script and waits until it has ended; a persistent job's machine then goes on. */
  async runAndWait(script: string, options: RunOptions = {}): Promise<RunResult> {
    const { requestId } = await this.run(script, options);
    const job = await this.wait(requestId, options.signal);
    const logs = await this.logs(requestId);
    const text = (source: string) => {
      const decoder = new TextDecoder();
      return logs
        .filter((entry) => entry.source === source)
        .map((entry) => decoder.decode(entryBytes(entry), { stream: true }))
        .join("");
    };
    return {
      requestId,
      status: job.status,
      exitCode: job.exit_code,
      signal: job.signal,
      error: job.error,
      durationMs: job.duration_ms,
      scriptDurationMs: job.script_duration_ms,
      stdout: text("stdout"),
      stderr: text("stderr"),
      logs,
    };
  }

  /** Waits until the script of a job has ended. */
  async wait(id: string, signal?: AbortSignal): Promise<Job> {
    for (;;) {
      const job = await this.status(id, { wait: WAIT_SECONDS, signal });
      if (job.exit_code !== null || ["completed", "error", "stopped"].includes(job.status)) return job;
      if (signal?.aborted) throw new MagsError("waiting was aborted", { code: "aborted" });
    }
  }

  /** A job as it is now; with `wait` (`seconds`) held until its script has ended. */
  status(id: string, options: { wait?: number; signal?: AbortSignal | undefined } = {}): Promise<Job> {
    const query = options.wait === undefined ? "" : `?wait=${options.wait}`;
    const timeout = this.#http.timeout + (options.wait ?? 0);
    return this.#json("GET", `/mags-jobs/${encodeURIComponent(id)}/status${query}`, {
      timeout,
      signal: options.signal,
    });
  }

  /** The log as far as it goes, page by page put together. */
  async logs(id: string): Promise<Logs["logs"]> {
    const entries: Logs["logs"] = [];
    let after: string | null = null;
    do {
      const query: string = after === null ? "" : `?after=${after}`;
      const page: Logs = await this.#json("GET", `/mags-jobs/${encodeURIComponent(id)}/logs${query}`);
      for (const entry of page.logs) entries.push(entry);
      after = page.next;
    } while (after !== null);
    return entries;
  }

  /** Yields the log as it grows, with exact resume when a connection is cut; the last item has type `end`. */
  followLogs(id: string, options: { after?: string; signal?: AbortSignal } = {}): AsyncGenerator<Followed> {
    return followLogs(this.#http, id, options);
  }

  /** Jobs, newest first. */
  list(options: ListOptions = {}): Promise<{ jobs: Job[]; total: number; page: number; page_size: number }> {
    const { pageSize, ...same } = options;
    const given = Object.entries({ ...same, page_size: pageSize }).filter(([, value]) => value !== undefined);
    const query = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
    return this.#json("GET", `/mags-jobs?${query}`);
  }

  /** Stops a job; one that has ended already is a MagsError with status 409. */
  async stop(id: string): Promise<void> {
    await this.#json("POST", `/mags-jobs/${encodeURIComponent(id)}/stop`);
  }

  updateJob(id: string, changes: { startupCommand?: string | null; noSleep?: boolean }): Promise<Job> {
    const body = { startup_command: changes.startupCommand, no_sleep: changes.noSleep };
    return this.#json("PATCH", `/mags-jobs/${encodeURIComponent(id)}`, { body });
  }

  poolStatus(): Promise<{
    idle_vms: number;
    busy_vms: number;
    total_vms: number;
    min_pool_size: number;
    max_pool_size: number;
  }> {
    return this.#json("GET", "/mags-jobs/pool-status");
  }

  async #json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    return (await (await call(this.#http, method, path, options)).json()) as T;
  }
}
