import { z } from "zod";
import { AuditEntry, AuditList } from "./api/audit.ts";
import { CronDeleted, CronJob, CronList, CronPreview, CronRun, CronRunList } from "./api/cron.ts";
import { ExecResult } from "./api/exec.ts";
import { FileDeleted, FileList, UploadedFile } from "./api/files.ts";
import { Difference, FsckReport } from "./api/fsck.ts";
import { ImageList, ImageOnNode } from "./api/images.ts";
import { Job, JobAccepted, JobList, PoolStatus, RanBy } from "./api/jobs.ts";
import { LoginApproved, LoginExchanged } from "./api/logins.ts";
import { LogEnd, LogEntry, Logs } from "./api/logs.ts";
import { Member, MemberDeleted, MemberList, MemberMade } from "./api/members.ts";
import { JobMetrics, MetricSample } from "./api/metrics.ts";
import { JoinTokenMade, Node, NodeList, NodeRemoved } from "./api/nodes.ts";
import { OrganisationQuota } from "./api/quota.ts";
import { DirectoryListing, FileEntry } from "./api/sandbox-files.ts";
import { Secret, SecretDeleted, SecretList } from "./api/secrets.ts";
import { OrganisationList, OrganisationMade, Token, TokenList, TokenMade, Whoami } from "./api/tokens.ts";
import { SshKey, SshKeyList, SshOpened, UrlAlias, UrlAliasList, UrlOpened } from "./api/urls.ts";
import { Usage, UsageFigures, UsageReport, UsageRow } from "./api/usage.ts";
import { Delivery, DeliveryList, Webhook, WebhookDeleted, WebhookList, WebhookMade } from "./api/webhooks.ts";
import {
  RecoveryPoint,
  SyncResult,
  VersionDeleted,
  VersionList,
  Workspace,
  WorkspaceDeleted,
  WorkspaceDiff,
  WorkspaceList,
  WorkspaceVersion,
} from "./api/workspaces.ts";
import { DiffEntry, VersionVerified } from "./node-operations.ts";

/** What the public API answers with. The clients' types are generated from these; a new answer starts here. */
const answers = {
  AuditEntry,
  AuditList,
  CronDeleted,
  CronJob,
  CronList,
  CronPreview,
  CronRun,
  CronRunList,
  DiffEntry,
  Difference,
  DirectoryListing,
  ExecResult,
  FileDeleted,
  FileEntry,
  FileList,
  FsckReport,
  ImageList,
  ImageOnNode,
  Job,
  JobAccepted,
  JobList,
  JoinTokenMade,
  JobMetrics,
  LogEnd,
  LogEntry,
  LoginApproved,
  LoginExchanged,
  Logs,
  MetricSample,
  Node,
  NodeList,
  Member,
  MemberDeleted,
  MemberList,
  MemberMade,
  NodeRemoved,
  PoolStatus,
  RanBy,
  RecoveryPoint,
  SshKey,
  SshKeyList,
  SshOpened,
  SyncResult,
  UploadedFile,
  UrlAlias,
  UrlAliasList,
  UrlOpened,
  Usage,
  UsageFigures,
  UsageReport,
  UsageRow,
  VersionDeleted,
  VersionList,
  VersionVerified,
  Workspace,
  WorkspaceDeleted,
  WorkspaceDiff,
  WorkspaceList,
  WorkspaceVersion,
  OrganisationList,
  OrganisationMade,
  OrganisationQuota,
  Secret,
  SecretDeleted,
  SecretList,
  Delivery,
  DeliveryList,
  Webhook,
  WebhookDeleted,
  WebhookList,
  WebhookMade,
  Token,
  TokenList,
  TokenMade,
  Whoami,
};

/** Their JSON schemas by name; where one holds another it has a `$ref` of that name. */
export function answerSchemas(): Record<string, object> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(answers)) registry.add(schema, { id });
  return z.toJSONSchema(registry, { uri: (id) => id }).schemas;
}
