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

export const usageGroups = ["day", "workspace", "token", "organisation"] as const;
export type UsageGroup = (typeof usageGroups)[number];

/** Days that one report may be about. */
const MOST_DAYS = 366;
const DEFAULT_DAYS = 30;
const DAY_MS = 86_400_000;

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const isGroup = (name: string): name is UsageGroup => (usageGroups as readonly string[]).includes(name);

const groups = z
  .string()
  .transform((text) => text.split(",").map((name) => name.trim()))
  .refine((names) => names.every(isGroup) && new Set(names).size === names.length, {
    error: `names some of ${usageGroups.join(", ")}, each once, with commas between`,
  })
  .transform((names) => names.filter(isGroup));

export const UsageReportQuery = z
  .object({
    from: z.iso.date().optional().describe("First day, YYYY-MM-DD in UTC; 29 days before `to` by default"),
    to: z.iso.date().optional().describe("Last day, which counts; today by default"),
    by: groups.default(["day"]).describe(`What rows are for: some of ${usageGroups.join(", ")}, with commas between`),
    format: z.enum(["json", "csv"]).optional().describe("As `Accept: text/csv` says, or JSON"),
  })
  .transform(({ from, to, ...rest }) => {
    const last = to ?? dayOf(Date.now());
    return { from: from ?? dayOf(Date.parse(last) - (DEFAULT_DAYS - 1) * DAY_MS), to: last, ...rest };
  })
  .refine(({ from, to }) => from <= to, { path: ["from"], error: "must not be after `to`" })
  .refine(({ from, to }) => Date.parse(to) - Date.parse(from) < MOST_DAYS * DAY_MS, {
    path: ["from"],
    error: `must be less than ${MOST_DAYS} days before \`to\``,
  });
export type UsageReportQuery = z.infer<typeof UsageReportQuery>;

const figures = {
  jobs: z.number().int().describe("Jobs made"),
  vcpu_seconds: z.number().describe("Time that machines were up, times their vcpus; sleeping ones are not up"),
  gb_seconds: z.number().describe("The same, times their GiB of memory"),
  storage_gb_hours: z.number().describe("Workspaces in the object store, GiB times hours"),
  egress_bytes: z.number().describe("What machines sent to other hosts"),
};

export const UsageFigures = z.object(figures);
export type UsageFigures = z.infer<typeof UsageFigures>;

/** Of what was asked for by `by`; null is what belongs to none. */
export const UsageRow = z.object({
  day: z.string().optional(),
  workspace: z.string().nullable().optional(),
  token: z.string().nullable().optional().describe("Who made the jobs: `token NAME`, `member E-MAIL`, `cron NAME`"),
  organisation: z.string().optional(),
  ...figures,
});
export type UsageRow = z.infer<typeof UsageRow>;

/** Answer of `GET /usage`. */
export const UsageReport = z.object({
  from: z.string(),
  to: z.string(),
  by: z.array(z.enum(usageGroups)),
  rows: z.array(UsageRow),
  total: UsageFigures,
});
export type UsageReport = z.infer<typeof UsageReport>;
