import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

/** A job may take this long to its end after everything is back, `ms`. */
const SETTLE_MS = 150_000;
const POLL_MS = 50;
const FINAL = ["completed", "error", "stopped"];
/** Exit code of a script that did not find its file. */
const NO_FILE = 96;

interface Accepted {
  token: string;
  id: string;
  /** its last line, in what it wrote, once it is known to be durable */
  workspace: string | undefined;
  final?: { status: string; exit_code: number | null; completed_at: string; reason: string | null };
}

/** Jobs that go on while something goes wrong, and what was promised about each. */
export class Load {
  readonly #world: World;
  readonly #random: Random;
  readonly #accepted: Accepted[] = [];
  /** lines of workspaces that were said to be durable */
  readonly #acknowledged = new Map<string, string[]>();
  /** how many jobs had been looked at by the last look, and which workspaces were written to since */
  #seen = 0;
  readonly #touched = new Set<string>();
  #count = 0;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  get jobs(): number {
    return this.#accepted.length;
  }

  get acknowledged(): number {
    return [...this.#acknowledged.values()].flat().length;
  }

  /**
   * Some work: short scripts, one with an uploaded file, a writer of a workspace, a machine that is synced on request; with `vm`
   * a writer in a virtual machine. Resolves when all were accepted and the machine was used.
   */
  async begin(vm: boolean): Promise<void> {
    const short = Array.from({ length: 3 }, () => this.#script());
    const writers = [this.#write(`ledger-${this.#random.pick([1, 2, 3])}`, "container")];
    if (vm) writers.push(this.#write("vm-ledger", "qemu"));
    const machine = this.#machine("live").then((accepted) => this.#use(accepted));
    await Promise.all([...short, ...writers, this.#readFile(), machine]);
  }

  /** Waits for the end of every job. Throws when one does not come to it. */
  async settle(): Promise<void> {
    const deadline = Date.now() + SETTLE_MS;
    for (const job of this.#accepted.filter(({ final }) => !final)) {
      for (;;) {
        const { body } = await this.#world.ask("GET", `/api/v1/mags-jobs/${job.id}/status`);
        if (FINAL.includes(body.status)) {
          const { status, exit_code, completed_at, reason } = body;
          job.final = { status, exit_code, completed_at, reason };
          const durable = status === "completed" && exit_code === 0 && body.error === null;
          if (durable && job.workspace) this.#acknowledge(job.workspace, job.token);
          break;
        }
        if (Date.now() > deadline) throw new Error(`job ${job.token} is still ${JSON.stringify(body)}`);
        await delay(POLL_MS);
      }
    }
  }

  /** What is not as it was promised of all that was done since the last look; empty when all is. */
  async violations(): Promise<string[]> {
    const jobs = this.#accepted.slice(this.#seen);
    const workspaces = [...this.#touched];
    this.#seen = this.#accepted.length;
    this.#touched.clear();
    return this.#look(jobs, workspaces);
  }

  /** The same over every job of the run. */
  async everything(): Promise<string[]> {
    await this.settle();
    return this.#look(this.#accepted, [...this.#acknowledged.keys()]);
  }

  async #look(jobs: Accepted[], workspaces: string[]): Promise<string[]> {
    const found: string[] = [];
    for (const job of jobs) found.push(...(await this.#brokenBy(job)));
    const kept = await Promise.all(workspaces.map((workspace) => this.#lines(workspace)));
    for (const [index, workspace] of workspaces.entries()) {
      const lines = kept[index] ?? [];
      const missing = (this.#acknowledged.get(workspace) ?? []).filter((line) => !lines.includes(line));
      if (missing.length > 0)
        found.push(`workspace ${workspace} has lost ${missing.join(", ")}, which was acknowledged`);
      const doubled = lines.filter((line, at) => lines.indexOf(line) !== at);
      if (doubled.length > 0) found.push(`workspace ${workspace} has ${doubled.join(", ")} twice`);
    }
    return found;
  }

  async #brokenBy({ token, id, final }: Accepted): Promise<string[]> {
    const found: string[] = [];
    const { body } = await this.#world.ask("GET", `/api/v1/mags-jobs/${id}/status`);
    const { status, exit_code, completed_at, reason } = body;
    const now = JSON.stringify({ status, exit_code, completed_at, reason });
    if (now !== JSON.stringify(final)) found.push(`job ${token} ended as ${JSON.stringify(final)}, and then as ${now}`);
    // There is one node, and where it is away so is the server: nobody can say that it is lost.
    if (reason === "node_lost") found.push(`job ${token} was given up, though its node was not lost`);
    const times = this.#world.marks.get(token) ?? 0;
    if (times > 1) found.push(`the script of job ${token} ran ${times} times`);
    if (status === "completed" && exit_code === 0 && times !== 1)
      found.push(`job ${token} is completed, and its script ran ${times} times`);
    if (exit_code === NO_FILE) found.push(`job ${token} had not got its file, whose upload was acknowledged`);
    return found;
  }

  #token(): string {
    this.#count++;
    return `t${process.pid}-${this.#count}`;
  }

  async #script(): Promise<void> {
    const token = this.#token();
    const seconds = this.#random.between(0, 1.5).toFixed(2);
    await this.#submit(token, undefined, { script: `${this.#world.leaveMark(token)}\nsleep ${seconds}` });
  }

  async #readFile(): Promise<void> {
    const token = this.#token();
    const id = await this.#world.upload(`${token}.txt`, token);
    const script = `grep -qx ${token} /root/${token}.txt || exit ${NO_FILE}\n${this.#world.leaveMark(token)}`;
    await this.#submit(token, undefined, { script, file_ids: [id] });
  }

  async #write(workspace: string, runtime: string): Promise<void> {
    const token = this.#token();
    const script = `${this.#world.leaveMark(token)}\necho ${token} >>/root/lines\nsleep ${this.#random.between(0, 1).toFixed(2)}`;
    await this.#submit(token, workspace, { script, workspace_id: workspace, runtime });
  }

  async #machine(workspace: string): Promise<Accepted> {
    const token = this.#token();
    const job = { script: this.#world.leaveMark(token), persistent: true, workspace_id: workspace };
    return this.#submit(token, undefined, job);
  }

  /** Writes into the machine, syncs it, stops it; each as far as it goes, since the machine may be lost meanwhile. */
  async #use({ id, token }: Accepted): Promise<void> {
    const path = `/api/v1/mags-jobs/${id}`;
    const line = `${token}-in`;
    // A second try would write a second time, so there is none.
    const wrote = await this.#world.daemon
      .http("POST", `${path}/exec`, { command: `echo ${line} >>/root/lines && sync` })
      .catch(() => undefined);
    if (wrote?.status === 200 && wrote.body.exit_code === 0) {
      const synced = await this.#world.daemon.http("POST", `${path}/sync`).catch(() => undefined);
      if (synced?.status === 200 && synced.body.synced !== false) this.#acknowledge("live", line);
    }
    await this.#world.ask("POST", `${path}/stop`);
  }

  async #submit(token: string, workspace: string | undefined, job: object): Promise<Accepted> {
    const wanted = { name: token, runtime: "container", ...job };
    const { status, body } = await this.#world.ask("POST", "/api/v1/mags-jobs", wanted, token);
    if (status !== 202) throw new Error(`job ${token} was refused with ${status}: ${JSON.stringify(body)}`);
    const accepted: Accepted = { token, id: body.request_id, workspace };
    this.#accepted.push(accepted);
    return accepted;
  }

  #acknowledge(workspace: string, line: string): void {
    this.#touched.add(workspace);
    this.#acknowledged.set(workspace, [...(this.#acknowledged.get(workspace) ?? []), line]);
  }

  /** What the newest version of a workspace holds. */
  async #lines(workspace: string): Promise<string[]> {
    const job = { script: "cat /root/lines", base_workspace_id: workspace, runtime: "container" };
    const { body } = await this.#world.ask("POST", "/api/v1/mags-jobs", job);
    for (const deadline = Date.now() + SETTLE_MS; Date.now() < deadline; await delay(POLL_MS)) {
      const { body: now } = await this.#world.ask("GET", `/api/v1/mags-jobs/${body.request_id}/status`);
      if (!FINAL.includes(now.status)) continue;
      const { body: log } = await this.#world.ask("GET", `/api/v1/mags-jobs/${body.request_id}/logs?limit=10000`);
      const entries: { source: string; message: string }[] = log.logs;
      if (now.status === "completed" && now.exit_code === 0)
        return entries.filter(({ source }) => source === "stdout").map(({ message }) => message);
      throw new Error(`workspace ${workspace} cannot be read: ${JSON.stringify(now)}`);
    }
    throw new Error(`workspace ${workspace} was not read in time`);
  }
}
