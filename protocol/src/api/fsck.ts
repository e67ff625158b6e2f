import { z } from "zod";

/** Ways in which ledger, machines and object store can disagree. */
export const differenceKinds = [
  "leftover",
  "job_directory_unknown",
  "job_missing",
  "job_unknown",
  "copy_unknown",
  "rules_missing",
  "node_silent",
  "lease_overdue",
  "holder_gone",
  "latest_missing",
  "workspace_abandoned",
  "schedule_overdue",
  "object_missing",
  "object_unreferenced",
] as const;
export type DifferenceKind = (typeof differenceKinds)[number];

export const Difference = z.object({
  kind: z.enum(differenceKinds),
  where: z.string().describe("`ledger`, `store`, or the name of a node"),
  what: z.string().describe("The thing that it is about"),
  said: z.string().describe("What disagrees, in a sentence"),
  repair: z.string().nullable().describe("What a repair does about it; null: nothing that is safe"),
  repaired: z.boolean().nullable().describe("Whether it is gone after the repair; null: none was asked for"),
});
export type Difference = z.infer<typeof Difference>;

export const FsckReport = z.object({
  clean: z.boolean().describe("Nothing disagrees, or all that did was repaired"),
  looked_at: z
    .object({
      nodes: z.number().int(),
      jobs: z.number().int(),
      workspaces: z.number().int(),
      traces: z.number().int().describe("Things of sandboxes and jobs on the machines"),
      objects: z.number().int(),
    })
    .describe("How much was compared"),
  differences: z.array(Difference).describe("Those that two looks, some seconds apart, have both seen"),
  took_ms: z.number(),
});
export type FsckReport = z.infer<typeof FsckReport>;
