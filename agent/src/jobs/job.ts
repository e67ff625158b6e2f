import { type ScriptEnd, type Synced, scriptSeconds, type VersionReason } from "@mags/protocol";
import { Activity } from "../access/activity.ts";
import type { LogCapture } from "../logs/index.ts";
import type { CommandEnd, RunningCommand, Sandbox } from "../sandbox/driver.ts";
import { adoptWrapped, killWrappers, preventStart } from "../sandbox/wrapper.ts";
import { WorkspaceLost } from "../workspaces/index.ts";
import type { JobContext } from "./context.ts";
import { describeEnd, type Ended, explainUnsettled, insist } from "./end.ts";
import { closeLog, openLog } from "./log.ts";
import { type Guest, Machine, type Owner } from "./machine.ts";
import type { JobRecord } from "./record.ts";
import { Remains } from "./remains.ts";
import { Sleeper } from "./sleeper.ts";
import { BASE_ENVIRONMENT, start } from "./start.ts";

/** How long the end of a job waits until all of its workspace is durable, `ms`. */
const SETTLE_MS = 60_000;
const HOST_GONE = "the machine that has the workspace ended before the script could start in it";

/**
 * One job on this node, from its assignment to the report of its end.
 *
 * There is one place where a script can end, the race in `#untilEnd`: by itself, at its time limit, on request, because
 * the lease or the workspace was lost, or with the machine of another job in which it runs. The first of them wins. A
 * persistent job's machine then stays until `stop`, or until it is put to sleep: then this object is done, and another one is
 * made when the server hands the job out again to wake it. A woken job runs its startup command, whose end ends nothing.
 * Where a workspace is kept, the end is told twice: the script's at once, the job's when everything is durable.
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
  /** instead of a machine that was gone after a restart */
  #remains: Remains | undefined;
  #host: Machine | undefined;
  #command: RunningCommand | undefined;
  #sleeper: Sleeper | undefined;
  #started: Promise<unknown> = Promise.resolve(); // awaited: a start that is heard last would leave the workspace dirty

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
  get phase() {
    return this.#record.phase;
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
  get sandbox(): Sandbox | undefined {
    return (this.#host ?? this.#machine)?.sandbox;
  }
  /** Variables for those who come in; HOME and the like come with the user. */
  get environment(): Record<string, string> {
    return {
      ...BASE_ENVIRONMENT,
      ...this.sandbox?.image.config.env,
      ...this.spec.environment,
      ...this.assignment.secrets,
    };
  }
  get machine() {
    return this.#machine;
  }
  /** it is another node's, or another attempt's */
  get abandoned() {
    return this.#interrupted?.by === "lost";
  }

  /** Ends the script (and a persistent job's machine); safe at any time. */
  stop(): void {
    this.#end({ by: "stop" });
  }

  /** Puts a persistent job's machine away, see Sleeper. */
  sleep(because: string, forced: boolean): void {
    if (!this.#interrupted) void this.#sleeper?.sleep(because, forced);
  }

  /** How long the machine was not used; undefined where it cannot sleep. */
  idle(): { idle_ms: number; because: string } | undefined {
    return this.#interrupted ? undefined : this.#sleeper?.idle();
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
      this.#context.records.write(this.#record);
      this.#log = openLog(this.#context, this.assignment);
      const { waited_ms } = this.assignment;
      if (waited_ms !== null) this.log(`waited ${(waited_ms / 1000).toFixed(1)} s for the workspace`);
      if (await this.#takeMachine()) await this.#runInMachine();
      else await this.#giveBack();
    } catch (error) {
      await this.#failed(error as Error);
    }
    this.#over.resolve();
  }

  /** Goes on with a job of an earlier agent process; `sandbox` is its own machine's. Never throws. */
  async adopt(sandbox: Sandbox | undefined): Promise<void> {
    try {
      // Before anything waits or fails: a job that runs in this machine looks for it next.
      if (sandbox) this.#machine = Machine.adopt(this.#context, this, sandbox);
      else this.#remains = Remains.find(this.#context, this);
      this.#log = openLog(this.#context, this.assignment);
      this.log("the agent was restarted; the job goes on");
      this.#watch();
      this.#joinHost();
      await this.#goOn();
    } catch (error) {
      await this.#failed(error as Error);
    }
    this.#over.resolve();
  }

  async #goOn(): Promise<void> {
    const directory = this.#context.records.runDirectory(this.assignment);
    const { phase, token, because } = this.#record;
    if (phase === "sleeping") return this.#fallAsleep(because ?? "");
    if (phase !== "started") return this.#deliver().then(() => this.#leave());
    if (token !== null && (await preventStart(directory, token))) {
      await this.#remains?.remove();
      if (this.sandbox || (await this.#takeMachine())) await this.#runInMachine();
      else await this.#giveBack();
      return;
    }
    const sandbox = this.sandbox;
    const mayGoOn =
      this.spec.persistent && this.assignment.host_job === null && (this.assignment.wake || this.#record.end);
    if (!sandbox && mayGoOn) return this.#fallAsleep("its machine was gone after a restart");
    // The machine is gone, too, when its script had ended and only the record of that is missing.
    if (token !== null || !this.assignment.wake)
      this.#command = sandbox ? sandbox.adoptExec(directory) : adoptWrapped(directory);
    if (!this.#command || this.assignment.wake) return this.#beAwake();
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
    this.#machine = await Machine.take(this.#context, this, this.#giveUp.signal);
    this.#watch();
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
    const { wake } = this.assignment;
    if (wake) this.log(`awake: ${wake.because}`);
    const { node, drivers, records, objects } = this.#context;
    const driver = drivers.for(this.spec);
    const [record, sandbox, log] = [this.#record, this.sandbox as Sandbox, this.#log as LogCapture];
    const [guest, resumed, { signal }] = [this.#host !== undefined, this.#machine?.resumed === true, this.#giveUp];
    this.#command = await start({ node, driver, records, record, objects, sandbox, log, guest, resumed, signal });
    // Not before it is written down that the machine is up: the next process would begin it once more.
    if (resumed) await this.#machine?.goOn();
    this.#started = this.#context.report("started", this.#record);
    if (!this.#command || wake) return this.#beAwake();
    await this.#finish(await this.#untilEnd(this.#command.end));
  }

  /** The machine is up for whoever comes, whether the startup command goes on or has ended. */
  async #beAwake(): Promise<void> {
    void this.#command?.end.then((end) => {
      if ("failed" in end) this.log(`the startup command failed: ${end.message}`);
      else if (end.exitCode !== 0) this.log(`the startup command ended with exit code ${end.exitCode}`);
    });
    await this.#finish(await this.#interrupt.promise);
  }

  #watch(): void {
    const machine = this.#machine;
    if (!machine || !this.spec.persistent) return;
    this.#sleeper = new Sleeper({
      machine,
      activity: this.activity,
      limits: this.#context.busy,
      log: (line) => this.log(line),
      fallAsleep: (because) => this.#end({ by: "sleep", because }),
    });
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
    if (ended.by === "sleep") return this.#fallAsleep(ended.because);
    const oomKills = async () => (await this.sandbox?.oomKills()) ?? 0;
    this.#record.end ??= await describeEnd(ended, this.spec, this.#record.started_at, oomKills);
    // Before the machine is killed: a successor must not take our kill for the script's own end.
    this.#context.records.write(this.#record);
    if (this.#record.end.exit_code !== null && (this.spec.persistent || this.#machine?.workspace)) {
      // One look takes all that was printed by now; who goes on printing in the background must not keep us here.
      this.#log?.drain();
      await this.#started;
      await this.#context.report("script_ended", this.#record);
      const ends = this.spec.persistent && this.sandbox ? await this.#interrupt.promise : undefined;
      if (ends?.by === "lost") return this.#drop();
      if (ends?.by === "sleep") return this.#fallAsleep(ends.because);
      if (ends) await this.#machineEnded(this.#record.end, ends);
    }
    // Killed before the log is closed: what its children still printed is in it, and nothing comes after its end record.
    await this.#kill(this.#interrupted ?? ended);
    if (!(await this.#settle(this.#record.end))) return;
    if (this.#log) closeLog(this.#log, this.#record.end);
    this.#log = undefined;
    await this.#command?.release();
    this.#record.phase = "ended";
    this.#context.records.write(this.#record);
    this.#over.resolve();
    // The report first: nothing of the script runs any more, and somebody waits for it.
    await this.#deliver();
    await this.#leave();
  }

  async #machineEnded(end: ScriptEnd, ended: Ended): Promise<void> {
    const { reason, error } = await describeEnd(ended, this.spec, null, async () => 0);
    this.#record.end = { ...end, reason, error };
    this.#context.records.write(this.#record);
  }

  /** Written down before anything ends, so that a successor goes on with it. The log is not closed: the job goes on. */
  async #fallAsleep(because: string): Promise<void> {
    this.#sleeper?.stop();
    // Also where nothing told it to: what fails from here on is tried again as this.
    this.#end({ by: "sleep", because });
    Object.assign(this.#record, { phase: "sleeping", because });
    this.#context.records.write(this.#record);
    await this.#machine?.putAway(`the machine of job ${this.id}, in which the script ran, was put to sleep`);
    await this.#started;
    try {
      await (this.#machine ?? this.#remains)?.settle("sleep", SETTLE_MS);
    } catch (error) {
      if (this.#context.closing.aborted) return;
      this.log(explainUnsettled(error as Error));
    }
    this.log(`asleep: ${because}`);
    this.#log?.drain();
    this.#log?.close();
    this.#log = undefined;
    await this.#command?.release();
    // The shell above a script whose machine was gone after a restart has no command here.
    const directory = this.#context.records.runDirectory(this.assignment);
    await killWrappers((other) => other === directory);
    // The machine first: who wakes the job may be given it here.
    await this.#leave();
    this.#over.resolve();
    await this.#context.slept(this.#record, because);
  }

  /** Ends what runs: the whole machine, or in another's what was cut off; what a script left there on purpose stays. */
  async #kill(ended: Ended): Promise<void> {
    const status = ended.by === "stop" ? "was stopped" : "ended";
    await this.#machine?.kill(`the machine of job ${this.id}, in which the script ran, ${status}`);
    const directory = this.#context.records.runDirectory(this.assignment);
    if (this.#host && ended.by !== "script" && ended.by !== "record")
      await this.#host.killCommand(directory, `MAGS_JOB_ID=${this.id}`);
  }

  /** Waits until the workspace is durable, within bounds; false when the agent closes first: the next one goes on here. */
  async #settle(end: ScriptEnd): Promise<boolean> {
    await this.#started;
    try {
      const reason = end.reason === "stopped" ? "stop" : "completion";
      await (this.#machine ?? this.#remains)?.settle(reason, SETTLE_MS);
    } catch (error) {
      if (this.#context.closing.aborted) return false;
      const why = explainUnsettled(error as Error);
      if (error instanceof WorkspaceLost) Object.assign(end, { reason: "workspace_lost", error: why });
      else end.error ??= why;
      this.log(why);
    }
    return true;
  }

  /** Takes this node's part of a job away that belongs to another attempt. */
  async #drop(): Promise<void> {
    await this.#machine?.kill(`the machine of job ${this.id}, in which the script ran, was given up`);
    await this.#leave();
    await this.#command?.release();
    this.#log?.close();
  }

  async #leave(): Promise<void> {
    this.#sleeper?.stop();
    this.#host?.leave(this);
    const machine = this.#machine ?? this.#remains;
    [this.#host, this.#machine, this.#remains] = [undefined, undefined, undefined];
    await machine?.remove();
  }

  async #deliver(): Promise<void> {
    if (!(await this.#context.report("finished", this.#record))) return;
    this.#record.phase = "reported";
    this.#context.records.write(this.#record);
  }

  async #failed(error: Error): Promise<void> {
    // What it waited for ends with the agent; nothing of it has run, so the next one begins it.
    const unbegun = this.phase === "assigned" && !this.#interrupted && !this.#record.end;
    if (unbegun && this.#context.closing.aborted) return;
    const ended = this.#interrupted ?? { by: "failure", error };
    if (ended.by === "failure") {
      this.#context.logger.error({ err: error }, "a job could not be run");
      this.log(`the job could not be run: ${error.message}`);
    }
    const failed = (err: Error) => this.#context.logger.error({ err }, "a job could not be ended; trying again");
    await insist(() => this.#finish(this.#interrupted ?? ended), this.#context.closing, failed);
  }
}
