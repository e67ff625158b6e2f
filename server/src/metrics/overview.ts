import type { Node } from "@mags/protocol";
import type { Registry } from "prom-client";
import type { Database } from "../db/database.ts";
import type { NodeAdmin } from "../nodes/admin.ts";
import { gauge } from "./metrics.ts";
import { countJobs, sumSchedules, sumWorkspaces } from "./store.ts";

const LIVE = ["accepted", "starting", "running", "sleeping"];
const NODE_STATES = ["ready", "draining", "drained", "away"];

/** What the database and the nodes say of the whole installation; every server tells the same. */
export class Overview {
  readonly #db: Database;
  readonly #nodes: NodeAdmin;
  readonly #jobs;
  readonly #oldestWaiting;
  readonly #workspaces;
  readonly #pending;
  readonly #lag;
  readonly #stored;
  readonly #schedules;
  readonly #late;
  readonly #nodesIn;
  readonly #ofNode;

  constructor(db: Database, nodes: NodeAdmin, registry: Registry) {
    this.#db = db;
    this.#nodes = nodes;
    this.#jobs = gauge(registry, "mags_jobs", "Live jobs", ["status"]);
    this.#oldestWaiting = gauge(registry, "mags_jobs_oldest_waiting_seconds", "Age of the job that waits longest");
    this.#workspaces = gauge(
      registry,
      "mags_workspaces",
      "Workspaces: all, those with changes that are not durable, and those whose last sync failed",
      ["state"],
    );
    this.#pending = gauge(registry, "mags_workspace_pending_bytes", "Written and not durable yet");
    this.#lag = gauge(
      registry,
      "mags_workspace_lag_seconds",
      "Age of the oldest recovery point of a workspace with changes",
    );
    this.#stored = gauge(registry, "mags_workspace_stored_bytes", "Chunks and manifests in the object store");
    this.#schedules = gauge(registry, "mags_schedules", "Schedules: enabled, and those whose last run failed", [
      "state",
    ]);
    this.#late = gauge(registry, "mags_schedule_late_seconds", "By how much the most overdue schedule is late");
    this.#nodesIn = gauge(registry, "mags_nodes", "Nodes", ["state"]);
    this.#ofNode = {
      sandboxes: gauge(registry, "mags_node_sandboxes", "Machines of the node", ["node", "state"]),
      vcpus: gauge(registry, "mags_node_vcpus", "CPU that the node offers, and what its jobs have", ["node", "kind"]),
      memory: gauge(registry, "mags_node_memory_bytes", "Likewise its memory", ["node", "kind"]),
      disk: gauge(registry, "mags_node_disk_bytes", "Likewise its store of volumes", ["node", "kind"]),
    };
  }

  /** Sets all gauges anew. Throws what the database throws; a node that does not answer has no sandboxes and no disk. */
  async refresh(): Promise<void> {
    const [jobs, workspaces, schedules, nodes] = await Promise.all([
      countJobs(this.#db),
      sumWorkspaces(this.#db),
      sumSchedules(this.#db),
      this.#nodes.list(),
    ]);
    for (const status of LIVE) this.#jobs.labels(status).set(jobs.find((row) => row.status === status)?.jobs ?? 0);
    this.#oldestWaiting.set(jobs.find((row) => row.status === "accepted")?.oldest ?? 0);
    this.#workspaces.labels("all").set(workspaces.workspaces);
    this.#workspaces.labels("dirty").set(workspaces.dirty);
    this.#workspaces.labels("failing").set(workspaces.failing);
    this.#pending.set(workspaces.pending_bytes);
    this.#lag.set(workspaces.lag);
    this.#stored.set(workspaces.stored_bytes);
    this.#schedules.labels("enabled").set(schedules.enabled);
    this.#schedules.labels("failing").set(schedules.failing);
    this.#late.set(schedules.late);
    this.#setNodes(nodes);
  }

  #setNodes(nodes: Node[]): void {
    for (const state of NODE_STATES)
      this.#nodesIn.labels(state).set(nodes.filter((node) => node.state === state).length);
    const { sandboxes, vcpus, memory, disk } = this.#ofNode;
    // A node that has left must not stay with its last figures.
    for (const each of [sandboxes, vcpus, memory, disk]) each.reset();
    for (const node of nodes) {
      const { name } = node;
      vcpus.labels(name, "offered").set(node.vcpus);
      vcpus.labels(name, "used").set(node.used_vcpus);
      memory.labels(name, "offered").set(node.memory_mb * 1024 ** 2);
      memory.labels(name, "used").set(node.used_memory_mb * 1024 ** 2);
      if (node.pool) {
        sandboxes.labels(name, "idle").set(node.pool.idle_vms);
        sandboxes.labels(name, "busy").set(node.pool.busy_vms);
      }
      if (node.disk) {
        disk.labels(name, "total").set(node.disk.total_bytes);
        disk.labels(name, "free").set(node.disk.free_bytes);
      }
    }
  }
}
