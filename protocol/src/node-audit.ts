/** What an agent says is on its machine, for the comparison with the ledger (`mags fsck`). */
import { z } from "zod";

/** Things that a sandbox, an import or a job leaves on a machine. */
export const traceKinds = [
  "directory",
  "cgroup",
  "disk",
  "mounts",
  "loop",
  "network",
  "scratch",
  "job_directory",
] as const;
export type TraceKind = (typeof traceKinds)[number];

export const Trace = z.object({
  kind: z.enum(traceKinds),
  name: z.string(),
  /** something that lives on this node has it; null where only the ledger can tell */
  held: z.boolean().nullable(),
});
export type Trace = z.infer<typeof Trace>;

/** Agent: `GET /agent/v1/audit`. */
export const NodeAudit = z.object({
  /** what the agent runs, or has not reported the end of */
  jobs: z.array(z.object({ id: z.uuid(), attempt: z.number().int(), ended: z.boolean() })),
  traces: z.array(Trace),
  /** copies that may be newer than the latest version */
  copies: z.array(z.object({ id: z.uuid(), name: z.string(), fence: z.number().int() })),
  /** rules of the firewall that are not there, in words */
  missing_rules: z.array(z.string()),
});
export type NodeAudit = z.infer<typeof NodeAudit>;

/** Agent: `POST /agent/v1/audit/remove`: takes a trace away, unless something that lives has it. */
export const RemoveTrace = Trace.pick({ kind: true, name: true });
