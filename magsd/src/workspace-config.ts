import { z } from "zod";

/** The options that say how much of workspaces is kept, and for how long. */
export const workspaceOptions = [
  { name: "maxWorkspaces", env: "MAGS_MAX_WORKSPACES", default: "1000", help: "Workspaces one organisation may have" },
  {
    name: "workspaceQuotaMb",
    env: "MAGS_WORKSPACE_QUOTA_MB",
    default: "102400",
    unit: "MiB",
    help: "What the workspaces of one organisation may have in the object store, equal chunks counted once",
  },
  {
    name: "keepVersions",
    env: "MAGS_KEEP_VERSIONS",
    default: "20",
    help: "Newest versions of a workspace that are kept in any case",
  },
  {
    name: "keepDays",
    env: "MAGS_KEEP_DAYS",
    default: "14",
    unit: "days",
    help: "For how long the last version of each day is kept, too",
  },
  {
    name: "collectGraceHours",
    env: "MAGS_COLLECT_GRACE_HOURS",
    default: "24",
    unit: "hours",
    help: "How long an upload may take before its chunks count as forgotten",
  },
  {
    name: "collectMinutes",
    env: "MAGS_COLLECT_MINUTES",
    default: "60",
    unit: "minutes",
    help: "Pause between two collections of old versions and unused chunks",
  },
] as const;

const amount = (fallback: number) => z.coerce.number().positive().default(fallback);
const count = (fallback: number) => z.coerce.number().int().min(0).default(fallback);

export const WorkspaceSettings = z.object({
  maxWorkspaces: count(1000),
  workspaceQuotaMb: count(100 * 1024),
  keepVersions: z.coerce.number().int().min(1, "must be at least 1").default(20),
  keepDays: count(14),
  collectGraceHours: amount(24),
  collectMinutes: amount(60),
});

/** The settings as the server takes them. */
export function workspaceLimits(settings: z.infer<typeof WorkspaceSettings>) {
  return {
    retention: { keepLast: settings.keepVersions, keepDays: settings.keepDays },
    graceMs: settings.collectGraceHours * 3600_000,
    collectMs: settings.collectMinutes * 60_000,
    quota: { workspaces: settings.maxWorkspaces, storedBytes: settings.workspaceQuotaMb * 1024 ** 2 },
  };
}
