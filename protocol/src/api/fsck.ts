import { z } from "zod";

export const Difference = z.object({
  kind: z.string().describe("One of the kinds that docs/fsck.md lists"),
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
