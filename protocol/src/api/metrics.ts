import { z } from "zod";

/** What a machine used up to a moment. */
export const MetricSample = z.object({
  at: z.string(),
  cpus: z.number().describe("CPUs in use on average since the sample before"),
  memory_bytes: z.number().int(),
  written_bytes: z.number().int().describe("Written to its disk since the sample before"),
});
export type MetricSample = z.infer<typeof MetricSample>;

/** Answer of `GET /mags-jobs/:id/metrics`. */
export const JobMetrics = z.object({
  interval_seconds: z.number(),
  vcpus: z.number().describe("Limit of the machine"),
  memory_mb: z.number().describe("Limit of the machine, in MiB"),
  open_connections: z.number().int().describe("Connections into it now: dialled ports and sessions"),
  samples: z.array(MetricSample).describe("Oldest first, at most the last half hour; empty while no machine is up"),
});
export type JobMetrics = z.infer<typeof JobMetrics>;
