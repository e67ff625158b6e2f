import { z } from "zod";
import { jobStatuses } from "../states.ts";

export const UsageQuery = z.object({
  window_days: z.coerce.number().int().min(1).max(366).default(30).describe("How many days back, up to now"),
});

/** Answer of `GET /mags-jobs/usage`. Time that a machine was up within the window counts, also of jobs that began before it. */
export const Usage = z.object({
  window_days: z.number().int(),
  since: z.string(),
  total_jobs: z.number().int().describe("Jobs created in the window"),
  jobs: z.record(z.enum(jobStatuses), z.number().int()).describe("The same by status"),
  vm_seconds: z.number().describe("Time that machines were up"),
  vcpu_seconds: z.number().describe("The same, times the vcpus that each might use"),
  memory_gb_seconds: z.number().describe("The same, times the GiB of memory that each might use"),
});
export type Usage = z.infer<typeof Usage>;
