import { ApiError, type Node, type NodeStatus } from "@mags/protocol";
import type { Cluster } from "../cluster/service.ts";
import type { Database } from "../db/database.ts";
import type { Nodes } from "./service.ts";
import { deleteNode, listWithLoad, type NodeLoad, setDraining } from "./store.ts";

const STATUS_DEADLINE_MS = 2000;
const NO_ANSWER = { pool: null, disk: null, runtimes: null };

/** The nodes as who runs the installation sees them, and taking one out of service in order. */
export class NodeAdmin {
  readonly #db: Database;
  readonly #nodes: Nodes;
  readonly #cluster: Cluster;

  constructor(db: Database, nodes: Nodes, cluster: Cluster) {
    this.#db = db;
    this.#nodes = nodes;
    this.#cluster = cluster;
  }

  async list(): Promise<Node[]> {
    return Promise.all((await listWithLoad(this.#db)).map((row) => this.#show(row)));
  }

  /** A draining node gets no new work, and its persistent machines sleep as soon as nobody is in them. Throws ApiError not_found. */
  async drain(name: string, draining: boolean): Promise<Node> {
    if (!(await setDraining(this.#db, name, draining)))
      throw new ApiError("not_found", `there is no node ${JSON.stringify(name.slice(0, 128))}`);
    this.#nodes.forget(name);
    const row = (await listWithLoad(this.#db)).find((node) => node.name === name);
    if (!row) throw new ApiError("not_found", `node ${JSON.stringify(name)} has just been removed`);
    return this.#show(row);
  }

  /**
   * Forgets a node, and what it was given when it joined opens nothing any more. Throws ApiError not_found; conflict for one that
   * has jobs or workspaces of which it alone has the newest state, unless `force`, and for a server's own that runs.
   */
  async remove(name: string, force: boolean): Promise<void> {
    const node = (await listWithLoad(this.#db)).find((row) => row.name === name);
    if (!node && !(await this.#cluster.has(name)))
      throw new ApiError("not_found", `there is no node ${JSON.stringify(name.slice(0, 128))}`);
    const refusal = node && refuseRemoval(node, force);
    if (refusal) throw new ApiError("conflict", refusal);
    await this.#db.transaction(async (tx) => {
      await this.#cluster.remove(tx, name);
      await deleteNode(tx, name);
    });
    this.#cluster.announce();
    this.#nodes.forget(name);
  }

  async #show(row: NodeLoad): Promise<Node> {
    const { name, isolation, rootfs_types, vcpus, memory_mb, used_vcpus, used_memory_mb, jobs, dirty_workspaces } = row;
    return {
      name,
      state: stateOf(row),
      vcpus,
      memory_mb,
      used_vcpus,
      used_memory_mb,
      jobs,
      dirty_workspaces,
      isolation,
      rootfs_types,
      seen_at: row.seen_at.toISOString(),
      draining_since: row.draining_since?.toISOString() ?? null,
      joined: row.joined,
      labels: row.labels,
      ...(row.away ? NO_ANSWER : await this.#status(name)),
    };
  }

  async #status(name: string): Promise<NodeStatus | typeof NO_ANSWER> {
    try {
      return await this.#nodes.status(name, STATUS_DEADLINE_MS);
    } catch {
      return NO_ANSWER;
    }
  }
}

function stateOf({ away, draining_since, jobs, dirty_workspaces }: NodeLoad): Node["state"] {
  if (away) return "away";
  if (draining_since === null) return "ready";
  return jobs === 0 && dirty_workspaces === 0 ? "drained" : "draining";
}

function refuseRemoval({ name, away, joined, jobs, dirty_workspaces }: NodeLoad, force: boolean): string | undefined {
  if (!joined && !away) return `node ${name} is a server's own and runs: stop it first`;
  if (force) return undefined;
  if (jobs > 0) return `node ${name} has ${jobs} job(s): drain it first, or send force=1`;
  if (dirty_workspaces === 0) return undefined;
  return `node ${name} has changes of ${dirty_workspaces} workspace(s) that are nowhere else: wait until they are durable, or send force=1`;
}
