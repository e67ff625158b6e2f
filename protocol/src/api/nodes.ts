import { z } from "zod";
import { PoolStatus } from "./jobs.ts";

/** What a node says of itself, `GET /agent/v1/status`. */
export const NodeStatus = z.object({
  pool: PoolStatus,
  disk: z.object({ total_bytes: z.number(), free_bytes: z.number() }),
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
  rootfs_types: z.array(z.string()),
  seen_at: z.string(),
  draining_since: z.string().nullable(),
  disk: z
    .object({ total_bytes: z.number(), free_bytes: z.number() })
    .nullable()
    .describe("Its store of volumes, with what that can still grow into; null where it does not answer"),
  pool: PoolStatus.nullable().describe("Its ready machines; null where it does not answer"),
});
export type Node = z.infer<typeof Node>;

export const NodeList = z.object({ nodes: z.array(Node), total: z.number().int() });
export type NodeList = z.infer<typeof NodeList>;
