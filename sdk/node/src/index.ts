export type { AccessClient, AccessOptions } from "./access.ts";
export type { AuditOptions } from "./audit.ts";
export type { Browser, BrowserOptions } from "./browser.ts";
export {
  type ListOptions,
  Mags,
  type MagsOptions,
  type RunResult,
  type WaitOptions,
} from "./client.ts";
export type { CronOptions } from "./cron.ts";
export { MagsError } from "./errors.ts";
export type { ExecOptions, ExecResult } from "./exec.ts";
export type { Upload } from "./files.ts";
export { entryBytes, type Followed } from "./follow.ts";
export type { CallSettings } from "./http.ts";
export type { ImageOptions, ImagesClient } from "./images.ts";
export type { RunOptions } from "./job-body.ts";
export type { FileChange, MachineFiles } from "./machine-files.ts";
export type { MemberOptions } from "./members.ts";
export type { JoinTokenOptions } from "./nodes.ts";
export type { QuotaChange } from "./quotas.ts";
export type { OpenOptions, Session } from "./session.ts";
export type { TokenOptions } from "./tokens.ts";
export type { UsageReportOptions } from "./usage.ts";
export type { WebhookOptions } from "./webhooks.ts";
export type { ImageOnNode, PoolStatus, UsageReport } from "./wire.ts";
export type { Force, VersionChoice } from "./workspaces.ts";
