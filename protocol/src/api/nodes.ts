import { z } from "zod";
import { machineRoles, NodeName } from "../cluster.ts";
import { PoolStatus, Runtime } from "./jobs.ts";

/** What a node's sandboxes may be. */
export const NodeRuntimes = z.object({
  offered: z.array(Runtime),
  default: Runtime.describe("What a job gets that asks for none"),
  because: z.string().describe("What that is and why, in words"),
});
export type NodeRuntimes = z.infer<typeof NodeRuntimes>;

/** What a node says of itself, `GET /agent/v1/status`. */
export const NodeStatus = z.object({
  pool: PoolStatus,
  disk: z.object({ total_bytes: z.number(), free_bytes: z.number() }),
  runtimes: NodeRuntimes.nullable().default(null),
});
export type NodeStatus = z.infer<typeof NodeStatus>;

/** A machine that runs sandboxes, as who runs the installation sees it. */
export const Node = z.object({
  name: z.string(),
  state: z
    .enum(["ready", "draining", "drained", "away"])
    .describe("draining: gets no new work; drained: has none left; away: has said nothing for 15 seconds"),
  vcpus: z.number(),
  memory_mb: z.number(),
  used_vcpus: z.number().describe("Of the jobs that it has now"),
  used_memory_mb: z.number(),
  jobs: z.number().int().describe("Jobs that it has now"),
  dirty_workspaces: z.number().int().describe("Workspaces with changes that are on this node only"),
  isolation: z.array(z.string()),
  runtimes: NodeRuntimes.nullable().describe("What its sandboxes may be; null where it does not answer"),
  rootfs_types: z.array(z.string()),
  seen_at: z.string(),
  draining_since: z.string().nullable(),
  disk: z
    .object({ total_bytes: z.number(), free_bytes: z.number() })
    .nullable()
    .describe("Its store of volumes, with what that can still grow into; null where it does not answer"),
  joined: z.boolean().describe("It came with a join token; else it is a server's own machine"),
  labels: z.record(z.string(), z.string()),
  pool: PoolStatus.nullable().describe("Its ready machines; null where it does not answer"),
});
export type Node = z.infer<typeof Node>;

export const NodeList = z.object({ nodes: z.array(Node), total: z.number().int() });
export type NodeList = z.infer<typeof NodeList>;

/** Body of `POST /nodes/join-tokens`. */
export const CreateJoinToken = z.object({
  node: NodeName.optional().describe("The one name it is for; any if absent"),
  roles: z.array(z.enum(machineRoles)).min(1).default(["agent", "gateway"]).describe("What the machine may be"),
  expires_in_minutes: z.number().positive().max(1440).default(60),
});
export type CreateJoinToken = z.infer<typeof CreateJoinToken>;
export const JoinTokenMade = z.object({
  join_token: z.string().describe("Works once; it is shown this once"),
  roles: z.array(z.enum(machineRoles)),
  expires_at: z.string(),
});
export type JoinTokenMade = z.infer<typeof JoinTokenMade>;

export const RemoveNode = z.object({
  force: z
    .enum(["0", "1", "true", "false"])
    .optional()
    .describe("1: also one that is not known to be empty; its jobs end as lost, and what only it has is given up"),
});
export const NodeRemoved = z.object({ name: z.string(), removed: z.literal(true) });
