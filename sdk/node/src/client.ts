import type { AccessClient, AccessOptions } from "./access.ts";
import { type Browser, type BrowserOptions, openBrowser } from "./browser.ts";
import { environment } from "./config.ts";
import type { CronClient } from "./cron.ts";
import { MagsError } from "./errors.ts";
import { base64, EXEC_SECONDS, type ExecAnswer, type ExecOptions, type ExecResult, toExecResult } from "./exec.ts";
import type { Upload } from "./files.ts";
import { entryBytes, type Followed, followLogs } from "./follow.ts";
import { type CallOptions, type CallSettings, callJson, type HttpOptions, pause, pauseBefore } from "./http.ts";
import { jobBody, type RunOptions } from "./job-body.ts";
import { MachineFiles } from "./machine-files.ts";
import { Parts } from "./parts.ts";
import { type OpenOptions, Session } from "./session.ts";
import { readUsage, type UsageReportOptions } from "./usage.ts";
import type { Job, JobMetrics, Logs, PoolStatus, SshOpened, SyncResult, UrlOpened, Usage } from "./wire.ts";
import { syncUntilDone, type WorkspacesClient } from "./workspaces.ts";

export interface MagsOptions {
  /** MAGS_API_TOKEN or MAGS_TOKEN by default */
  apiToken?: string;
  /** MAGS_API_URL, else http://127.0.0.1:7070 */
  apiUrl?: string;
  /** for one call with its retries, `seconds`; 30 by default */
  timeout?: number;
}

export interface WaitOptions extends CallSettings {
  /** give up waiting after this long, `seconds`; the job goes on. Without end by default */
  waitTimeout?: number;
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

export interface ListOptions extends CallSettings {
  page?: number;
  pageSize?: number;
  status?: Job["status"];
  name?: string;
  workspaceId?: string;
}

/** Longest time that the server holds a status request, `seconds` */
const WAIT_SECONDS = 25;
/** Waiting outlives a restart of the server: it is given up after this long without an answer, `ms` */
const GIVE_UP_MS = 60_000;
const LONGEST_PAUSE_MS = 2000;
const FINAL: readonly string[] = ["completed", "error", "stopped"];

/** A client of one Mags server. All calls throw MagsError. `id` may be the id of a job or the name of a live one. */
export class Mags extends Parts {
  readonly #http: HttpOptions;

  constructor(options: MagsOptions = {}) {
    const { apiToken, apiUrl } = environment();
    const http = {
      apiToken: options.apiToken ?? apiToken,
      apiUrl: (options.apiUrl ?? apiUrl).replace(/\/+$/, ""),
      timeout: options.timeout ?? 30,
    };
    super(http);
    this.#http = http;
  }

  /** Starts a job and returns at once. */
  async run(
    script: string,
    options: RunOptions = {},
  ): Promise<{ requestId: string; name: string; status: Job["status"] }> {
    const body = { script, ...jobBody(options) };
    const { signal } = options;
    const answer = await this.#json<JobAnswer>("POST", "/mags-jobs", { body, signal });
    return { requestId: answer.request_id, name: answer.name, status: answer.status };
  }

  /**
   * Runs a script and waits until it has ended; a persistent job's machine then goes on. `timeout` limits the script (its
   * end is then status `error`), `waitTimeout` limits this call (a MagsError of code `timeout`).
   */
  async runAndWait(script: string, options: RunOptions & WaitOptions = {}): Promise<RunResult> {
    const { requestId } = await this.run(script, options);
    const job = await this.wait(requestId, options);
    const logs = await this.logs(requestId, { signal: options.signal });
    return {
      requestId,
      status: job.status,
      exitCode: job.exit_code,
      signal: job.signal,
      error: job.error,
      durationMs: job.duration_ms,
      scriptDurationMs: job.script_duration_ms,
      stdout: textOf(logs, "stdout"),
      stderr: textOf(logs, "stderr"),
      logs,
    };
  }

  /**
   * Waits until the script of a job has ended, across restarts of the server; where the job is not persistent, until
   * what it wrote to its workspace is durable.
   */
  async wait(id: string, options: WaitOptions = {}): Promise<Job> {
    const { waitTimeout = Number.POSITIVE_INFINITY, signal } = options;
    const deadline = Date.now() + waitTimeout * 1000;
    let answeredAt = Date.now();
    for (let failures = 0; ; ) {
      try {
        const left = Math.max(0, (deadline - Date.now()) / 1000);
        const job = await this.status(id, { wait: Math.min(WAIT_SECONDS, left), signal });
        if (FINAL.includes(job.status) || (job.persistent && job.exit_code !== null)) return job;
        answeredAt = Date.now();
        failures = 0;
      } catch (error) {
        const wait = error instanceof MagsError ? pauseBefore(error, ++failures, LONGEST_PAUSE_MS) : undefined;
        if (wait === undefined || Date.now() - answeredAt > GIVE_UP_MS) throw error;
        await pause(wait, signal);
      }
      if (Date.now() >= deadline)
        throw new MagsError(`job ${id} has not ended within ${waitTimeout} s`, {
          code: "timeout",
          hint: "It goes on; wait again, or stop it.",
        });
    }
  }

  /** A job as it is now; with `wait` (`seconds`, at most 60) held until its script has ended. */
  status(id: string, options: { wait?: number | undefined } & CallSettings = {}): Promise<Job> {
    const query = options.wait === undefined ? "" : `?wait=${options.wait}`;
    const timeout = this.#http.timeout + (options.wait ?? 0);
    return this.#json("GET", `${jobPath(id)}/status${query}`, { timeout, signal: options.signal });
  }

  /** The log as far as it goes, page by page put together; `after` is the cursor of an entry that is already known. */
  async logs(id: string, options: { after?: string | undefined } & CallSettings = {}): Promise<Logs["logs"]> {
    const entries: Logs["logs"] = [];
    let after: string | null = options.after ?? null;
    do {
      const query: string = after === null ? "" : `?after=${after}`;
      const page: Logs = await this.#json("GET", `${jobPath(id)}/logs${query}`, { signal: options.signal });
      for (const entry of page.logs) entries.push(entry);
      after = page.next;
    } while (after !== null);
    return entries;
  }

  /**
   * Yields the log as it grows, with exact resume when a connection is cut; the last item has type `end`. An aborted
   * `signal` ends the iteration.
   */
  followLogs(id: string, options: { after?: string } & CallSettings = {}): AsyncGenerator<Followed> {
    return followLogs(this.#http, id, options);
  }

  /** Jobs, newest first. */
  list(options: ListOptions = {}): Promise<{ jobs: Job[]; total: number; page: number; page_size: number }> {
    const { pageSize, workspaceId, signal, ...same } = options;
    const given = Object.entries({ ...same, page_size: pageSize, workspace_id: workspaceId }).filter(
      ([, value]) => value !== undefined,
    );
    const query = new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
    return this.#json("GET", `/mags-jobs?${query}`, { signal });
  }

  /**
   * Runs a command in a live machine and answers with all of its output; a string is run by /bin/sh. A command that fails is
   * no error. Never tried a second time: a MagsError of code `unreachable` leaves open whether it ran.
   */
  async exec(id: string, command: string | readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const { stdin, timeout, signal, ...same } = options;
    const body = {
      ...(typeof command === "string" ? { command } : { argv: command }),
      ...same,
      timeout,
      ...(stdin === undefined ? {} : typeof stdin === "string" ? { stdin } : base64(stdin)),
    };
    const patience = (timeout ?? EXEC_SECONDS) + this.#http.timeout;
    return toExecResult(
      await this.#json<ExecAnswer>("POST", `${jobPath(id)}/exec`, { body, signal, timeout: patience, once: true }),
    );
  }

  /** Starts a command in a live machine to talk to: input, output as it comes, a terminal. */
  async session(id: string, options: OpenOptions): Promise<Session> {
    try {
      return await Session.open(this.#http, id, options);
    } catch (error) {
      // A WebSocket does not tell why it was refused; this call does, where it is refused for the same reason.
      const { status } = await this.status(id);
      if (!FINAL.includes(status)) throw error;
      throw new MagsError(`the job has ended: it is ${status}`, { statusCode: 409, code: "conflict" });
    }
  }

  /** The files of a live machine. */
  machineFiles(id: string): MachineFiles {
    return new MachineFiles(this.#http, id);
  }

  /** Puts a persistent job's machine away; answers when it sleeps. Whoever wants in wakes it. */
  sleep(id: string, options: CallSettings = {}): Promise<Job> {
    return this.#json("POST", `${jobPath(id)}/sleep`, { signal: options.signal });
  }

  /** Wakes a sleeping machine; answers when it is up, at once where it is. */
  wake(id: string, options: CallSettings = {}): Promise<Job> {
    return this.#json("POST", `${jobPath(id)}/wake`, { timeout: this.#http.timeout + 30, signal: options.signal });
  }

  /** CPU, memory and disk that a job's machine has used over the last half hour at most. */
  metrics(id: string, options: CallSettings = {}): Promise<JobMetrics> {
    return this.#json("GET", `${jobPath(id)}/metrics`, { signal: options.signal });
  }

  /**
   * Runs a job again on the image and the version of its disk that it ran on. What the new run writes is kept in `workspaceId`, a
   * new one, or nowhere.
   */
  async rerun(
    id: string,
    options: { workspaceId?: string | undefined } & CallSettings = {},
  ): Promise<{ requestId: string; name: string; status: Job["status"] }> {
    const body = { workspace_id: options.workspaceId };
    const answer = await this.#json<JobAnswer>("POST", `${jobPath(id)}/rerun`, { body, signal: options.signal });
    return { requestId: answer.request_id, name: answer.name, status: answer.status };
  }

  /** Stops a job; one that has ended already is a MagsError with status 409. */
  async stop(id: string, options: CallSettings = {}): Promise<void> {
    await this.#json("POST", `${jobPath(id)}/stop`, { signal: options.signal });
  }

  /**
   * Starts a machine that stays, on the workspace `name`, and answers once it is up; `waitTimeout` (30 by default) limits
   * that. An aborted `signal` stops it again.
   */
  async new(name: string, options: RunOptions & WaitOptions = {}): Promise<Job> {
    const { requestId } = await this.run("true", { ...options, workspaceId: name, persistent: true });
    const job = await this.wait(requestId, { waitTimeout: 30, ...options }).catch(async (error) => {
      if (options.signal?.aborted) await this.stop(requestId).catch(() => undefined);
      throw error;
    });
    if (!FINAL.includes(job.status)) return job;
    throw new MagsError(`the machine did not start: ${job.error ?? job.status}`, { code: "not_started" });
  }

  /** The job of this id, name or workspace: a live one before others, by its name before its workspace. */
  async findJob(nameOrId: string, options: CallSettings = {}): Promise<Job | undefined> {
    try {
      // An id, or the name or workspace of a live job.
      return await this.status(nameOrId, options);
    } catch (error) {
      if (!(error instanceof MagsError) || error.statusCode !== 404) throw error;
    }
    const named = await this.list({ name: nameOrId, pageSize: 1, ...options });
    return named.jobs[0] ?? (await this.list({ workspaceId: nameOrId, pageSize: 1, ...options })).jobs[0];
  }

  /** Resolves when everything that the job has written before is in the object store, however long that takes. */
  sync(id: string, options: CallSettings = {}): Promise<SyncResult> {
    return syncUntilDone(this.#http, `${jobPath(id)}/sync`, options);
  }

  listWorkspaces(...args: Parameters<WorkspacesClient["list"]>) {
    return this.workspaces.list(...args);
  }

  deleteWorkspace(...args: Parameters<WorkspacesClient["delete"]>) {
    return this.workspaces.delete(...args);
  }

  resize(...args: Parameters<WorkspacesClient["resize"]>) {
    return this.workspaces.resize(...args);
  }

  /** Changes a live job; what is not named stays as it is. */
  updateJob(
    id: string,
    changes: {
      startupCommand?: string | null | undefined;
      noSleep?: boolean | undefined;
      idleMinutes?: number | null | undefined;
    },
    options: CallSettings = {},
  ): Promise<Job> {
    const body = {
      startup_command: changes.startupCommand,
      no_sleep: changes.noSleep,
      idle_minutes: changes.idleMinutes,
    };
    return this.#json("PATCH", jobPath(id), { body, signal: options.signal });
  }

  /** Uploads files for jobs to be given; answers their ids, in the same order. */
  async uploadFiles(uploads: readonly Upload[], options: CallSettings = {}): Promise<string[]> {
    return (await this.files.upload(uploads, options)).map((file) => file.file_id);
  }

  cronCreate(...args: Parameters<CronClient["create"]>) {
    return this.cron.create(...args);
  }

  cronList(...args: Parameters<CronClient["list"]>) {
    return this.cron.list(...args);
  }

  cronGet(...args: Parameters<CronClient["get"]>) {
    return this.cron.get(...args);
  }

  cronUpdate(...args: Parameters<CronClient["update"]>) {
    return this.cron.update(...args);
  }

  cronDelete(...args: Parameters<CronClient["delete"]>) {
    return this.cron.delete(...args);
  }

  /** Port 22 answers a key for SSH, any other the URL that leads to it. */
  enableAccess(id: string, port = 8080, options: AccessOptions = {}): Promise<UrlOpened | SshOpened> {
    return port === 22 ? this.access.ssh(id, options) : this.access.url(id, port, options);
  }

  url(...args: Parameters<AccessClient["url"]>) {
    return this.access.url(...args);
  }

  /** `domain` is for code that was written for the hosted service; the server's own is used. */
  urlAliasCreate(
    subdomain: string,
    workspaceId: string,
    _domain?: string,
    options: Parameters<AccessClient["createAlias"]>[2] = {},
  ) {
    return this.access.createAlias(subdomain, workspaceId, options);
  }

  urlAliasList(options: CallSettings = {}) {
    return this.access.listAliases(options);
  }

  urlAliasDelete(subdomain: string, options: CallSettings = {}) {
    return this.access.deleteAlias(subdomain, options);
  }

  /** Starts a headless Chromium in a machine that stays, and answers where to drive it when it is up. */
  browser(options: BrowserOptions = {}): Promise<Browser> {
    return openBrowser(this, options);
  }

  /** Jobs and machine time of the last days. */
  usage(options: { windowDays?: number } & CallSettings = {}): Promise<Usage> {
    const { windowDays = 30, signal } = options;
    return this.#json("GET", `/mags-jobs/usage?window_days=${windowDays}`, { signal });
  }

  usageReport(options: UsageReportOptions = {}) {
    return readUsage(this.#http, options);
  }

  poolStatus(options: CallSettings = {}): Promise<PoolStatus> {
    return this.#json("GET", "/mags-jobs/pool-status", { signal: options.signal });
  }

  #json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    return callJson(this.#http, method, path, options);
  }
}

type JobAnswer = Pick<Job, "request_id" | "name" | "status">;

const jobPath = (id: string) => `/mags-jobs/${encodeURIComponent(id)}`;

/** What a stream held as text; a character whose bytes are in two entries is put together. */
function textOf(logs: Logs["logs"], source: string): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  for (const entry of logs) {
    if (entry.source === source) text += decoder.decode(entryBytes(entry), { stream: true });
  }
  return text + decoder.decode();
}
