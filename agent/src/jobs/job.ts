import { randomUUID } from "node:crypto";
import { type RanBy, type ScriptEnd, type Synced, scriptSeconds, type VersionReason } from "@mags/protocol";
import type { ObjectStore } from "@mags/storage";
import { Activity } from "../access/activity.ts";
import { placeFiles } from "../files/place.ts";
import { LogCapture } from "../logs/index.ts";
import type { CommandEnd, Driver, RunningCommand, Sandbox } from "../sandbox/driver.ts";
import { adoptWrapped, preventStart } from "../sandbox/wrapper.ts";
import { WorkspaceLost } from "../workspaces/index.ts";
import { describeEnd, type Ended } from "./end.ts";
import { type Guest, Machine, type MachineContext, type Owner } from "./machine.ts";
import type { JobRecord, JobRecords } from "./record.ts";

/** What jobs on this node share. */
export interface JobContext extends MachineContext {
  node: string;
  driver: Driver;
  records: JobRecords;
  objects: ObjectStore;
  logLimitBytes: number;
  /** the agent closes: what runs is left to the next one */
  closing: AbortSignal;
  /** another job on this node */
  job(id: string): Job | undefined;
  /** Delivers a report for as long as it takes; resolves to false when the job is another attempt's. */
  report(event: "started" | "script_ended" | "finished", record: JobRecord): Promise<boolean>;
  /** Gives a job back that has not begun; delivers that for as long as it takes. */
  giveBack(record: JobRecord, message: string): Promise<void>;
}

/** How long the end of a job waits until all of its workspace is durable, `ms`. */
const SETTLE_MS = 60_000;
const HOST_GONE = "the machine that has the workspace ended before the script could start in it";

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
 * There is one place where a script can end, the race in `#untilEnd`: by itself, at its time limit, on request, because
 * the lease or the workspace was lost, or with the machine of another job in which it runs. The first of them wins. A
 * persistent job's machine then stays until `stop`. Where a workspace is kept, the end is told twice: the script's at once,
 * the job's when everything is durable.
 */
export class Job implements Owner, Guest {
  readonly activity = new Activity();
  readonly #context: JobContext;
  readonly #record: JobRecord;
  readonly #interrupt = Promise.withResolvers<Ended>();
  /** gives up what is under way before the script starts */
  readonly #giveUp = new AbortController();
  /** its end is written down, and nothing of it runs any more */
  readonly #over = Promise.withResolvers<void>();
  #interrupted: Ended | undefined;
  #log: LogCapture | undefined;
  #machine: Machine | undefined;
  #host: Machine | undefined;
  #command: RunningCommand | undefined;

  constructor(context: JobContext, record: JobRecord) {
    this.#context = context;
    this.#record = record;
  }

  get id() {
    return this.assignment.id;
  }
  get attempt() {
    return this.assignment.attempt;
  }
  get assignment() {
    return this.#record.assignment;
  }
  get spec() {
    return this.assignment.spec;
  }
  /** A line of its log, for people. */
  log(line: string): void {
    this.#log?.system(line);
  }
  get capture() {
    return this.#log;
  }
  /** The sandbox it runs in, while there is one. */
  get sandbox(): Sandbox | undefined {
    return (this.#host ?? this.#machine)?.sandbox;
  }
  /** Variables for those who come in; HOME and the like come with the user. */
  get environment(): Record<string, string> {
    return { PATH: BASE_ENVIRONMENT.PATH, LANG: BASE_ENVIRONMENT.LANG, ...this.spec.environment };
  }
  /** its own machine, while it is there */
  get machine() {
    return this.#machine;
  }

  /** Ends the script (and a persistent job's machine); safe at any time. */
  stop(): void {
    this.#end({ by: "stop" });
  }

  /** The job is no longer this node's: everything of it goes, nothing is reported. */
  abandon(): void {
    this.#end({ by: "lost" });
  }

  workspaceLost(reason: string): void {
    this.#end({ by: "workspace", message: `the workspace is no longer this node's: ${reason}` });
  }

  machineEnds(message: string): Promise<void> {
    this.#end({ by: "machine", message });
    return this.#over.promise;
  }

  /** Makes everything in the workspace durable that was written before the call; undefined when it keeps none here. */
  async sync(reason: VersionReason): Promise<Synced | undefined> {
    return (this.#host ?? this.#machine)?.workspace?.sync(reason);
  }

  /** Runs the job to its end and reports it. Never throws. */
  async run(): Promise<void> {
    try {
      this.#context.records.create(this.#record);
      this.#openLog();
      const { waited_ms } = this.assignment;
      if (waited_ms !== null) this.log(`waited ${(waited_ms / 1000).toFixed(1)} s for the workspace`);
      if (await this.#takeMachine()) await this.#runInMachine();
      else await this.#giveBack();
    } catch (error) {
      await this.#failed(error as Error);
    }
    this.#over.resolve();
  }

  /** Goes on with a job that an earlier agent process had started; `sandbox` is its own machine's. Never throws. */
  async adopt(sandbox: Sandbox | undefined): Promise<void> {
    try {
      this.#openLog();
      this.log("the agent was restarted; the job goes on");
      // Before anything waits: a job that runs in this machine looks for it next.
      if (sandbox) this.#machine = Machine.adopt(this.#context, this, sandbox);
      this.#joinHost();
      await this.#goOn();
    } catch (error) {
      await this.#failed(error as Error);
    }
    this.#over.resolve();
  }

  async #goOn(): Promise<void> {
    const directory = this.#context.records.directory(this.id);
    const { phase, token } = this.#record;
    if (phase !== "started") return this.#deliver();
    if (token !== null && (await preventStart(directory, token))) {
      if (this.sandbox || (await this.#takeMachine())) await this.#runInMachine();
      else await this.#giveBack();
      return;
    }
    const sandbox = this.sandbox;
    // The machine is gone, too, when its script had ended and only the record of that is missing.
    this.#command = sandbox ? sandbox.adoptExec(directory) : adoptWrapped(directory);
    await this.#finish(this.#record.end ? { by: "record" } : await this.#adoptedEnd(this.#command, sandbox));
  }

  #end(ended: Ended): void {
    this.#interrupted ??= ended;
    this.#interrupt.resolve(ended);
    this.#giveUp.abort();
  }

  /** False when the machine of another job, in which it should run, is gone or about to go. */
  async #takeMachine(): Promise<boolean> {
    if (this.assignment.host_job !== null) return this.#joinHost();
    const { volume } = this.assignment;
    if (this.spec.base_workspace_id !== undefined && volume?.source === "latest")
      this.log(
        `base ${this.spec.base_workspace_id} was not used: the workspace has a version of its own, ${volume.version?.number}`,
      );
    this.#machine = await Machine.take(this.#context, this, this.#giveUp.signal);
    return true;
  }

  #joinHost(): boolean {
    const { host_job } = this.assignment;
    const host = host_job === null ? undefined : this.#context.job(host_job)?.machine;
    if (!host?.join(this)) return false;
    this.#host = host;
    this.log(`runs in machine ${host.sandbox.id} of job ${host_job}, which has the workspace`);
    return true;
  }

  async #giveBack(): Promise<void> {
    this.log(`${HOST_GONE}; the job waits again`);
    this.#log?.close();
    await this.#context.giveBack(this.#record, HOST_GONE);
  }

  async #runInMachine(): Promise<void> {
    const sandbox = this.sandbox as Sandbox;
    const { org, id, spec } = this.assignment;
    const { objects } = this.#context;
    await placeFiles({ sandbox, objects, org, job: id, ids: spec.file_ids, signal: this.#giveUp.signal });
    this.#command = await this.#start(sandbox);
    await this.#finish(await this.#untilEnd(this.#command.end));
  }

  /** The end of a script that ran while no agent was there: in time it was whatever the clock says now. */
  async #adoptedEnd(command: RunningCommand, sandbox: Sandbox | undefined): Promise<Ended> {
    const end = await command.earlier();
    if (end) return { by: "script", end };
    if (sandbox) return this.#untilEnd(command.end);
    if (this.assignment.host_job !== null)
      return { by: "machine", message: "the machine of the other job, in which it ran, was gone after a restart" };
    return { by: "script", end: { failed: "supervisor_lost", message: "the machine was gone after a restart" } };
  }

  #openLog(): void {
    const dir = this.#context.records.directory(this.id);
    this.#log = LogCapture.open({ dir, limitBytes: this.#context.logLimitBytes });
  }

  async #start(sandbox: Sandbox): Promise<RunningCommand> {
    const log = this.#log as LogCapture;
    const script = this.#host ? `script-${this.id}` : "script";
    await sandbox.place(script, this.spec.script);
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
      argv: ["/bin/sh", `/run/mags/${script}`],
      env: { ...BASE_ENVIRONMENT, HOSTNAME: sandbox.id, MAGS_JOB_ID: this.id, ...this.spec.environment },
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
    if (ended.by === "lost") return this.#drop();
    const oomKills = async () => (await this.sandbox?.oomKills()) ?? 0;
    this.#record.end ??= await describeEnd(ended, this.spec, this.#record.started_at, oomKills);
    // Before the machine is killed: a successor must not take our kill for the script's own end.
    this.#context.records.write(this.#record);
    if (this.#record.end.exit_code !== null && (this.spec.persistent || this.#machine?.workspace)) {
      // One look takes all that was printed by now; who goes on printing in the background must not keep us here.
      this.#log?.drain();
      await this.#context.report("script_ended", this.#record);
      if (this.spec.persistent && this.sandbox && !(await this.#stay(this.#record.end))) return this.#drop();
    }
    // Killed before the log is closed: what its children still printed is in it, and nothing comes after its end record.
    await this.#kill(this.#interrupted ?? ended);
    if (!(await this.#settle(this.#record.end))) return;
    this.#closeLog(this.#record.end);
    await this.#command?.release();
    this.#record.phase = "ended";
    this.#context.records.write(this.#record);
    this.#over.resolve();
    // The report first: nothing of the script runs any more, and somebody waits for it.
    await this.#deliver();
    await this.#leave();
  }

  /** A persistent job's machine stays until somebody ends it; false when the job is another's then. */
  async #stay(end: ScriptEnd): Promise<boolean> {
    const ended = await this.#interrupt.promise;
    if (ended.by === "lost") return false;
    const { reason, error } = await describeEnd(ended, this.spec, null, async () => 0);
    this.#record.end = { ...end, reason, error };
    this.#context.records.write(this.#record);
    return true;
  }

  /** Ends what runs: the whole machine, or in another's what was cut off; what a script left there on purpose stays. */
  async #kill(ended: Ended): Promise<void> {
    const status = ended.by === "stop" ? "was stopped" : "ended";
    await this.#machine?.kill(`the machine of job ${this.id}, in which the script ran, ${status}`);
    if (this.#host && ended.by !== "script" && ended.by !== "record")
      await this.#host.sandbox.killCommand(this.#context.records.directory(this.id), `MAGS_JOB_ID=${this.id}`);
  }

  /** Waits until the workspace is durable, within bounds; false when the agent closes first: the next one goes on here. */
  async #settle(end: ScriptEnd): Promise<boolean> {
    try {
      await this.#machine?.settle(end.reason === "stopped" ? "stop" : "completion", SETTLE_MS);
    } catch (error) {
      if (this.#context.closing.aborted) return false;
      const { message } = error as Error;
      if (error instanceof WorkspaceLost) Object.assign(end, { reason: "workspace_lost", error: message });
      else end.error ??= `${message}; the node keeps it and goes on trying`;
      this.log(end.error as string);
    }
    return true;
  }

  #closeLog(end: ScriptEnd): void {
    const status = end.reason === "exited" ? "completed" : end.reason === "stopped" ? "stopped" : "error";
    this.#log?.finish({ status, exit_code: end.exit_code, signal: end.signal, reason: end.reason });
    end.log_truncated = this.#log?.truncated ?? false;
    this.#log?.close();
    this.#log = undefined;
  }

  /** Takes this node's part of a job away that belongs to another attempt. */
  async #drop(): Promise<void> {
    await this.#machine?.kill(`the machine of job ${this.id}, in which the script ran, was given up`);
    await this.#leave();
    await this.#command?.release();
    this.#log?.close();
  }

  async #leave(): Promise<void> {
    this.#host?.leave(this);
    this.#host = undefined;
    const machine = this.#machine;
    this.#machine = undefined;
    await machine?.remove();
  }

  async #deliver(): Promise<void> {
    if (!(await this.#context.report("finished", this.#record))) return;
    this.#record.phase = "reported";
    this.#context.records.write(this.#record);
  }

  async #failed(error: Error): Promise<void> {
    const ended = this.#interrupted ?? { by: "failure", error };
    if (ended.by === "failure") {
      this.#context.logger.error({ err: error, job: this.id }, "a job could not be run");
      this.log(`the job could not be run: ${error.message}`);
    }
    await this.#finish(ended).catch((cause) =>
      this.#context.logger.error({ err: cause, job: this.id }, "the end of a job could not be recorded"),
    );
  }
}
