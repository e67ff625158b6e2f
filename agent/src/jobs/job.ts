import { randomUUID } from "node:crypto";
import type { Logger } from "@mags/kit";
import { type RanBy, type ScriptEnd, scriptSeconds } from "@mags/protocol";
import { Activity } from "../access/activity.ts";
import { LogCapture } from "../logs/index.ts";
import type { Pool } from "../pool/pool.ts";
import type { CommandEnd, Driver, RunningCommand, Sandbox } from "../sandbox/driver.ts";
import { signalOf } from "../sandbox/exit-code.ts";
import { adoptWrapped, preventStart } from "../sandbox/wrapper.ts";
import type { JobRecord, JobRecords } from "./record.ts";

/** What jobs on this node share. */
export interface JobContext {
  node: string;
  driver: Driver;
  pool: Pool;
  records: JobRecords;
  logLimitBytes: number;
  logger: Logger;
  /** Delivers a report for as long as it takes; resolves to false when the job is another attempt's. */
  report(event: "started" | "script_ended" | "finished", record: JobRecord): Promise<boolean>;
}

type Ended =
  | { by: "script"; end: CommandEnd }
  | { by: "timeout" }
  | { by: "stop" }
  | { by: "lost" }
  /** as an earlier process has written down */
  | { by: "record" };

const BASE_ENVIRONMENT = {
  HOME: "/root",
  USER: "root",
  LOGNAME: "root",
  SHELL: "/bin/sh",
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
};

/**
 * One job on this node, from its assignment to the report of its end.
 *
 * There is one place where a script can end, the race in `#untilEnd`: by itself, at its time limit, on request, or
 * because the lease was lost. The first of them wins. A persistent job's machine then stays until `stop`.
 */
export class Job {
  readonly activity = new Activity();
  readonly #context: JobContext;
  readonly #record: JobRecord;
  readonly #interrupt = Promise.withResolvers<Ended>();
  #log: LogCapture | undefined;
  #sandbox: Sandbox | undefined;
  #command: RunningCommand | undefined;

  constructor(context: JobContext, record: JobRecord) {
    this.#context = context;
    this.#record = record;
  }

  get id() {
    return this.#record.assignment.id;
  }
  get attempt() {
    return this.#record.assignment.attempt;
  }
  get spec() {
    return this.#record.assignment.spec;
  }
  get log() {
    return this.#log;
  }
  /** The machine, while there is one. */
  get sandbox() {
    return this.#sandbox;
  }
  /** Variables for those who come in; HOME and the like come with the user. */
  get environment(): Record<string, string> {
    return { PATH: BASE_ENVIRONMENT.PATH, LANG: BASE_ENVIRONMENT.LANG, ...this.spec.environment };
  }

  /** Ends the script (and a persistent job's machine); safe at any time. */
  stop(): void {
    this.#interrupt.resolve({ by: "stop" });
  }

  /** The job is no longer this node's: everything of it goes, nothing is reported. */
  abandon(): void {
    this.#interrupt.resolve({ by: "lost" });
  }

  /** Runs the job to its end and reports it. Never throws. */
  async run(): Promise<void> {
    try {
      this.#context.records.create(this.#record);
      await this.#openLog();
      await this.#runIn(await this.#takeMachine());
    } catch (error) {
      await this.#failedToStart(error as Error);
    }
  }

  async #takeMachine(): Promise<Sandbox> {
    const started = performance.now();
    const sandbox = await this.#context.pool.take(this.#size());
    this.#sandbox = sandbox;
    this.#log?.system(`machine ${sandbox.id} ready in ${Math.round(performance.now() - started)} ms`);
    return sandbox;
  }

  async #runIn(sandbox: Sandbox): Promise<void> {
    this.#command = await this.#start(sandbox);
    await this.#finish(await this.#untilEnd(this.#command.end));
  }

  /** Goes on with a job that an earlier agent process had started. Never throws. */
  async adopt(sandbox: Sandbox | undefined): Promise<void> {
    try {
      await this.#openLog();
      const directory = this.#context.records.directory(this.id);
      this.#log?.system("the agent was restarted; the job goes on");
      if (sandbox) {
        this.#sandbox = sandbox;
        this.#context.pool.adopted();
      }
      const { phase, token } = this.#record;
      if (phase === "started" && token !== null && (await preventStart(directory, token))) {
        await this.#runIn(sandbox ?? (await this.#takeMachine()));
      } else if (phase === "started") {
        // The machine is gone, too, when its script had ended and only the record of that is missing.
        this.#command = sandbox ? sandbox.adoptExec(directory) : adoptWrapped(directory);
        await this.#finish(this.#record.end ? { by: "record" } : await this.#adoptedEnd(this.#command, sandbox));
      } else {
        await this.#deliver();
      }
    } catch (error) {
      await this.#failedToStart(error as Error);
    }
  }

  /** The end of a script that ran while no agent was there: in time it was whatever the clock says now. */
  async #adoptedEnd(command: RunningCommand, sandbox: Sandbox | undefined): Promise<Ended> {
    const end = await command.earlier();
    if (end) return { by: "script", end };
    if (sandbox) return this.#untilEnd(command.end);
    return { by: "script", end: { failed: "supervisor_lost", message: "the machine was gone after a restart" } };
  }

  async #openLog(): Promise<void> {
    const dir = this.#context.records.directory(this.id);
    this.#log = LogCapture.open({ dir, limitBytes: this.#context.logLimitBytes });
  }

  #size() {
    const { vcpus, memory_mb, disk_gb } = this.spec;
    return { vcpus, memoryMb: memory_mb, diskGb: disk_gb };
  }

  async #start(sandbox: Sandbox): Promise<RunningCommand> {
    const log = this.#log as LogCapture;
    await sandbox.place("script", this.spec.script);
    const token = randomUUID();
    Object.assign(this.#record, {
      phase: "started",
      token,
      sandbox: sandbox.id,
      ran_by: this.#ranBy(sandbox),
      started_at: Date.now(),
    });
    // Written before the script starts: what may have run is never run again.
    this.#context.records.write(this.#record);
    const command = await sandbox.exec({
      directory: this.#context.records.directory(this.id),
      argv: ["/bin/sh", "/run/mags/script"],
      env: { ...BASE_ENVIRONMENT, HOSTNAME: sandbox.id, ...this.spec.environment },
      cwd: "/root",
      token,
      stdoutFifo: log.stdoutFifo,
      stderrFifo: log.stderrFifo,
    });
    void this.#context.report("started", this.#record);
    return command;
  }

  #ranBy(sandbox: Sandbox): RanBy {
    const { vcpus, memory_mb, disk_gb } = this.spec;
    const timeout = scriptSeconds(this.spec);
    return {
      node: this.#context.node,
      ...this.#context.driver.facts,
      image: sandbox.image.name,
      image_digest: sandbox.image.digest,
      limits: { vcpus, memory_mb, disk_gb, pids: this.#context.driver.pidsLimit, timeout },
      machine: sandbox.id,
    };
  }

  async #untilEnd(end: Promise<CommandEnd>): Promise<Ended> {
    const seconds = scriptSeconds(this.spec);
    const timer = Promise.withResolvers<Ended>();
    const left = seconds === null ? undefined : (this.#record.started_at ?? Date.now()) + seconds * 1000 - Date.now();
    const timeout = left === undefined ? undefined : setTimeout(timer.resolve, Math.max(0, left), { by: "timeout" });
    try {
      return await Promise.race([
        end.then((value): Ended => ({ by: "script", end: value })),
        timer.promise,
        this.#interrupt.promise,
      ]);
    } finally {
      clearTimeout(timeout);
    }
  }

  /** From the end of the script to the end of the machine. */
  async #finish(ended: Ended): Promise<void> {
    if (ended.by === "lost") return this.#leave();
    const sandbox = this.#sandbox;
    this.#record.end ??= await this.#describe(ended, sandbox);
    // Before the machine is killed: a successor must not take our kill for the script's own end.
    this.#context.records.write(this.#record);
    const stays = this.spec.persistent && sandbox !== undefined && this.#record.end.exit_code !== null;
    if (stays) {
      // One look takes all that was printed by now; who goes on printing in the background must not keep us here.
      this.#log?.drain();
      await this.#context.report("script_ended", this.#record);
      const interrupted = await this.#interrupt.promise;
      if (interrupted.by === "lost") return this.#leave();
      this.#record.end = { ...this.#record.end, reason: "stopped" };
    }
    // Killed before the log is closed: what its children still printed is in it, and nothing comes after its end record.
    await sandbox?.kill();
    await this.#closeLog();
    await this.#command?.release();
    this.#record.phase = "ended";
    this.#context.records.write(this.#record);
    // The report first: nothing of the script runs any more, and somebody waits for it.
    await this.#deliver();
    await this.#removeMachine();
  }

  async #describe(ended: Ended, sandbox: Sandbox | undefined): Promise<ScriptEnd> {
    const { memory_mb } = this.spec;
    const script_duration_ms = this.#record.started_at === null ? null : Date.now() - this.#record.started_at;
    const base = { exit_code: null, signal: null, script_duration_ms, log_truncated: false };
    if (ended.by === "timeout")
      return {
        ...base,
        reason: "timeout",
        error: `the script ran longer than its limit of ${scriptSeconds(this.spec)} s`,
      };
    if (ended.by !== "script") return { ...base, reason: "stopped", error: null };
    if ("failed" in ended.end) return { ...base, reason: ended.end.failed, error: ended.end.message };
    const { exitCode } = ended.end;
    const result = { ...base, exit_code: exitCode, signal: signalOf(exitCode) };
    if (exitCode === 137 && ((await sandbox?.oomKills()) ?? 0) > 0) {
      return {
        ...result,
        reason: "out_of_memory",
        error: `the script needed more than its limit of ${memory_mb} MiB of memory`,
      };
    }
    return { ...result, reason: "exited", error: null };
  }

  async #closeLog(): Promise<void> {
    const end = this.#record.end as ScriptEnd;
    const status = end.reason === "exited" ? "completed" : end.reason === "stopped" ? "stopped" : "error";
    this.#log?.finish({ status, exit_code: end.exit_code, signal: end.signal, reason: end.reason });
    end.log_truncated = this.#log?.truncated ?? false;
    this.#log?.close();
    this.#log = undefined;
  }

  /** Takes this node's part of a job away that belongs to another attempt. */
  async #leave(): Promise<void> {
    await this.#removeMachine();
    await this.#command?.release();
    this.#log?.close();
  }

  async #removeMachine(): Promise<void> {
    const sandbox = this.#sandbox;
    this.#sandbox = undefined;
    if (!sandbox) return;
    await sandbox
      .destroy()
      .catch((error) =>
        this.#context.logger.warn({ err: error, job: this.id }, "a sandbox could not be removed whole"),
      );
    this.#context.pool.gone();
  }

  async #deliver(): Promise<void> {
    if (!(await this.#context.report("finished", this.#record))) return;
    this.#record.phase = "reported";
    this.#context.records.write(this.#record);
  }

  async #failedToStart(error: Error): Promise<void> {
    this.#context.logger.error({ err: error, job: this.id }, "a job could not be run");
    this.#log?.system(`the job could not be run: ${error.message}`);
    await this.#finish({ by: "script", end: { failed: "start_failed", message: error.message } }).catch((cause) =>
      this.#context.logger.error({ err: cause, job: this.id }, "the end of a job could not be recorded"),
    );
  }
}
