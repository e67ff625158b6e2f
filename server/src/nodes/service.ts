import type { AgentAddress, AgentClient, Agents } from "@mags/agent-client";
import type { Logger } from "@mags/kit";
import { ApiError, type CreateJob, NodeStatus, type PoolStatus, type RegisterNode } from "@mags/protocol";
import type { z } from "zod";
import type { Database, Queryable } from "../db/database.ts";
import { refuse } from "./decide.ts";
import { findNode, listNodes, type NodeRow, putNode, touchNode } from "./store.ts";

/** A node silent for longer is not counted as part of the installation, `s`. */
const KNOWN_SECONDS = 600;
/** A node silent for longer is not counted as ready, `s`. */
const READY_SECONDS = 15;
const CACHE_MS = 1000;
/** A sign of life is written at most this often, `ms`: it costs a commit. */
const TOUCH_MS = 3000;
const AGENT_DEADLINE_MS = 3000;

/** Which machines there are, what they can do, and how to speak to their agents. */
export class Nodes {
  readonly #db: Database;
  readonly #agents: Agents;
  readonly #logger: Logger;
  readonly #touched = new Map<string, { node: NodeRow; until: number }>();
  #cache: { nodes: NodeRow[]; until: number } | undefined;

  constructor(db: Database, agents: Agents, logger: Logger) {
    this.#db = db;
    this.#agents = agents;
    this.#logger = logger;
  }

  /** True for a name that a node has. */
  async knows(q: Queryable, name: string): Promise<boolean> {
    return (await listNodes(q, KNOWN_SECONDS)).some((node) => node.name.toLowerCase() === name.toLowerCase());
  }

  /** Writes the registration; true when it is another process than the one that held the name before. */
  async register(tx: Queryable, node: RegisterNode): Promise<boolean> {
    refuseAddress(node.address);
    this.#cache = undefined;
    this.#touched.delete(node.node);
    return (await putNode(tx, node)) !== node.boot_id;
  }

  /** Notes a sign of life. Throws ApiError conflict when this boot is not the registered one: it must register again. */
  async alive(name: string, bootId: string): Promise<NodeRow> {
    const touched = this.#touched.get(name);
    if (touched && touched.node.boot_id === bootId && touched.until > performance.now()) return touched.node;
    const node = await touchNode(this.#db, name, bootId);
    if (!node)
      throw new ApiError("conflict", `node ${name} is not registered with this boot_id: register first`, "boot_id");
    this.#touched.set(name, { node, until: performance.now() + TOUCH_MS });
    return node;
  }

  /** What is known of the node is read anew; other servers do so within 3 s. */
  forget(name: string): void {
    this.#touched.delete(name);
  }

  find(name: string): Promise<NodeRow | undefined> {
    return findNode(this.#db, name);
  }

  async ready(): Promise<NodeRow[]> {
    return listNodes(this.#db, READY_SECONDS);
  }

  /** Throws ApiError isolation_unavailable, too_big_for_nodes or invalid_request when no node could ever run the job. */
  async refuseImpossible(q: Queryable, job: CreateJob): Promise<void> {
    if (!this.#cache || this.#cache.until < performance.now()) {
      this.#cache = { nodes: await listNodes(q, KNOWN_SECONDS), until: performance.now() + CACHE_MS };
    }
    const refusal = refuse(job, this.#cache.nodes);
    if (refusal) throw new ApiError(refusal.code, refusal.message, refusal.field);
  }

  /** The ways into a node's sandboxes. Throws ApiError unavailable when the node is unknown. */
  async agent(nodeName: string): Promise<AgentClient> {
    return this.#agents.at(await this.#address(nodeName));
  }

  /** Calls a node's agent. Throws ApiError unavailable when the node is unknown, TypeError when it cannot be reached. */
  async agentFetch(nodeName: string, path: string, init: RequestInit = {}): Promise<Response> {
    return this.#agents.fetch(await this.#address(nodeName), path, init);
  }

  async #address(nodeName: string): Promise<AgentAddress> {
    const node = await findNode(this.#db, nodeName);
    if (!node) throw new ApiError("unavailable", `node ${nodeName} is not registered`);
    return node;
  }

  /** Tells the agent at once what the next renewal would tell it within a second; a failure only costs that second. */
  pushStop(nodeName: string, jobId: string): void {
    this.#push(nodeName, jobId, "stop");
  }

  /** Likewise. */
  pushSleep(nodeName: string, jobId: string): void {
    this.#push(nodeName, jobId, "sleep");
  }

  #push(node: string, job: string, verb: "stop" | "sleep"): void {
    const signal = AbortSignal.timeout(AGENT_DEADLINE_MS);
    this.agentFetch(node, `/agent/v1/jobs/${job}/${verb}`, { method: "POST", signal })
      .then((response) => response.body?.cancel())
      .catch((err) =>
        this.#logger.debug(
          { err: err.message, node, job },
          `${verb} was not pushed; the agent will read it when it renews`,
        ),
      );
  }

  /** What a node says of itself. Throws when it does not answer within `ms`. */
  async status(name: string, ms: number): Promise<NodeStatus> {
    const response = await this.agentFetch(name, "/agent/v1/status", { signal: AbortSignal.timeout(ms) });
    return NodeStatus.parse(await response.json());
  }

  /** Sum over the agents that answer within 3 s. */
  async poolStatus(): Promise<z.infer<typeof PoolStatus>> {
    const sum = { idle_vms: 0, busy_vms: 0, total_vms: 0, min_pool_size: 0, max_pool_size: 0 };
    const asked = (await this.ready()).map(async ({ name }) => (await this.status(name, AGENT_DEADLINE_MS)).pool);
    for (const result of await Promise.allSettled(asked)) {
      if (result.status === "rejected") continue;
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += result.value[key];
    }
    return sum;
  }
}

/** Throws ApiError invalid_request: what is not encrypted is spoken on one machine only. */
function refuseAddress(address: string): void {
  if (/^https:/.test(address) || /^http:\/\/(127\.|localhost[:/]|\[::1\])/.test(address)) return;
  throw new ApiError("invalid_request", `address ${address} is of another machine and not https`, "address");
}
