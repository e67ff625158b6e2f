import { ApiError, type DoorGuard, type ResolveDoor, type ResolvedDoor, type SshLogin } from "@mags/protocol";
import type { Audit } from "../audit/service.ts";
import type { Database } from "../db/database.ts";
import type { Jobs } from "../jobs/service.ts";
import type { Sleep } from "../jobs/sleep.ts";
import type { Nodes } from "../nodes/service.ts";
import type { SshKeys } from "../ssh/service.ts";
import { decideVisit } from "../urls/decide.ts";
import type { Urls } from "../urls/service.ts";

/** Changes wake waiters at once; this is for the ones that got lost, `ms`. */
const POLL_MS = 1000;

/** Answers a gateway where a visitor's sandbox is. */
export class Doors {
  readonly #db: Database;
  readonly #audit: Audit;
  readonly #urls: Urls;
  readonly #sshKeys: SshKeys;
  readonly #jobs: Jobs;
  readonly #nodes: Nodes;
  readonly #sleep: Sleep;

  constructor(needs: {
    db: Database;
    audit: Audit;
    urls: Urls;
    sshKeys: SshKeys;
    jobs: Jobs;
    nodes: Nodes;
    sleep: Sleep;
  }) {
    this.#db = needs.db;
    this.#audit = needs.audit;
    this.#urls = needs.urls;
    this.#sshKeys = needs.sshKeys;
    this.#jobs = needs.jobs;
    this.#nodes = needs.nodes;
    this.#sleep = needs.sleep;
  }

  /** Wakes the sandbox where it sleeps, and waits for it to be up, at most as long as the gateway says. */
  async resolve(asked: ResolveDoor, signal: AbortSignal): Promise<ResolvedDoor> {
    const door = await this.#locate(asked);
    if ("missing" in door) return { state: "none", reason: door.missing };
    const deadline = Date.now() + asked.wait_ms;
    using changes = this.#jobs.changes(door.job);
    for (;;) {
      const answer = await this.#look(door, asked.by === "host" ? "a visitor of its URL" : "somebody logs in by SSH");
      const left = deadline - Date.now();
      if (answer.state !== "waking" || left <= 0 || signal.aborted) return answer;
      await changes.next(Math.min(left, POLL_MS), signal);
    }
  }

  /** Writes down who has logged in by SSH. */
  async noteLogin({ job, fingerprint, address }: SshLogin, requestId: string): Promise<void> {
    const row = await this.#jobs.ofAnyone(job);
    if (!row) return;
    const actor = { kind: "gateway", name: fingerprint } as const;
    const entry = {
      org: row.org,
      actor,
      action: "ssh.login",
      target: job,
      outcome: "done",
      details: { name: row.name },
    } as const;
    await this.#audit.note(this.#db, { ...entry, requestId, address });
  }

  async #locate(
    asked: ResolveDoor,
  ): Promise<{ org: string; job: string; port: number | null; guard: DoorGuard } | { missing: string }> {
    if (asked.by === "host") return this.#urls.locate(asked.host);
    const found =
      asked.by === "job" ? await this.#ofJob(asked.job) : await this.#sshKeys.locate(asked.fingerprint, asked.user);
    return "missing" in found ? found : { ...found, port: null, guard: { access: "public" } };
  }

  async #ofJob(id: string): Promise<{ org: string; job: string } | { missing: string }> {
    const job = await this.#jobs.ofAnyone(id);
    return job ? { org: job.org, job: job.id } : { missing: "there is no such sandbox" };
  }

  async #look(
    door: { org: string; job: string; port: number | null; guard: DoorGuard },
    because: string,
  ): Promise<ResolvedDoor> {
    const { org, ...shown } = door;
    const row = await this.#jobs.find(org, door.job);
    const { action, reason } = decideVisit(row.status);
    if (action === "refuse") return { state: "none", reason };
    const full = await this.#sleep.fetchBack(row, because).catch((error) => {
      if (error instanceof ApiError && error.code === "quota_exceeded") return error.message;
      throw error;
    });
    if (full) return { state: "none", reason: full };
    const node = action === "enter" && row.node ? await this.#nodes.find(row.node) : undefined;
    if (!node) return { state: "waking", ...shown, reason: action === "enter" ? "its machine is away" : reason };
    return { state: "ready", ...shown, node: node.name, address: node.address };
  }
}
