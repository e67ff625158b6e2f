/** The tables as TypeScript sees them, by hand; `migrations/` is where they are made. */
import type {
  CreateCron,
  CreateJob,
  CronRun,
  DoorGuard,
  JobStatus,
  LostAttempt,
  MachineRole,
  NetworkPolicy,
  RanBy,
  TokenScope,
} from "@mags/protocol";
import type { ColumnType, Generated, GeneratedAlways } from "kysely";

type Json<T> = ColumnType<T, string, string>;

export interface NodesTable {
  name: string;
  boot_id: string;
  address: string;
  vcpus: number;
  memory_mb: number;
  isolation: string[];
  rootfs_types: string[];
  image_digests: Generated<string[]>;
  seen_at: Generated<Date>;
  draining_since: Date | null;
  labels: Generated<Record<string, string>>;
}

export interface MachinesTable {
  id: string;
  name: string;
  hash: string;
  roles: MachineRole[];
  joined_at: Generated<Date>;
  removed_at: Date | null;
}

export interface OrganisationsTable {
  id: string;
  created_at: Generated<Date>;
}

export interface JobsTable {
  id: string;
  org: string;
  seq: ColumnType<string, never, never>;
  name: string;
  spec: Json<CreateJob>;
  status: JobStatus;
  persistent: boolean;
  no_sleep: boolean;
  idle_minutes: number | null;
  wakes: Generated<number>;
  sleep_requested_at: Date | null;
  activity_because: string | null;
  activity_since: Date | null;
  startup_command: string | null;
  vcpus: number;
  memory_mb: number;
  /** null: for ever */
  timeout: number | null;
  isolation: string | null;
  rootfs_type: string | null;
  node: string | null;
  attempt: Generated<number>;
  lease_until: Date | null;
  stop_requested_at: Date | null;
  created_at: Generated<Date>;
  started_at: Date | null;
  script_ended_at: Date | null;
  completed_at: Date | null;
  exit_code: number | null;
  signal: string | null;
  reason: string | null;
  error: string | null;
  script_duration_ms: number | null;
  log_truncated: Generated<boolean>;
  ran_by: Json<RanBy> | null;
  /** the only image it may run on */
  image_digest: string | null;
  node_labels: Json<Record<string, string>> | null;
  node_retries: number;
  lost_attempts: Json<LostAttempt[]>;
  network: GeneratedAlways<NetworkPolicy | null>;
  /** version that its disk began as */
  start_version: string | null;
  started_from: string | null;
  rerun_of: string | null;
  /** row of the workspace that keeps its disk */
  workspace: string | null;
  workspace_name: string | null;
  /** version its disk begins with, where that is not the workspace's own */
  base_version: string | null;
  base_name: string | null;
  host_job: string | null;
  subdomain: string | null;
  created_by: string | null;
  /** variables, and the versions that they hold */
  secrets: Json<Record<string, string>> | null;
  request_id: string | null;
  cron: string | null;
}

export interface CronsTable {
  id: string;
  org: string;
  name: string;
  expression: string;
  time_zone: string;
  enabled: boolean;
  request: Json<Record<string, unknown>>;
  overlap: CreateCron["overlap"];
  missed: CreateCron["missed"];
  catch_up: number;
  retries: number;
  retry_delay: number;
  next_at: Date | null;
  last_run_at: Date | null;
  last_status: CronRun["state"] | null;
  last_job: string | null;
  last_exit_code: number | null;
  failures: Generated<number>;
  created_at: Generated<Date>;
  updated_at: Generated<Date>;
}

export interface CronRunsTable {
  id: string;
  seq: ColumnType<string, never, never>;
  org: string;
  cron: string;
  kind: CronRun["kind"];
  attempt: Generated<number>;
  scheduled_at: Date;
  not_before: Date;
  state: CronRun["state"];
  reason: string | null;
  job: string | null;
  started_at: Date | null;
  ended_at: Date | null;
  exit_code: number | null;
  duration_ms: number | null;
}

export interface FilesTable {
  id: string;
  org: string;
  name: string;
  state: Generated<"uploading" | "stored" | "deleting">;
  bytes: ColumnType<string, number, number>;
  sha256: string | null;
  created_at: Generated<Date>;
  used_at: Date | null;
  expires_at: Date;
}

export interface SessionsTable {
  hash: string;
  org: string;
  token: string;
  created_at: Generated<Date>;
  expires_at: Date;
}

export interface TokensTable {
  id: Generated<string>;
  hash: string;
  org: string;
  name: string;
  scopes: TokenScope[];
  created_by: string | null;
  member: Generated<string | null>;
  created_at: Generated<Date>;
  expires_at: Date | null;
  last_used_at: Date | null;
}

export interface IdempotencyKeysTable {
  token: string;
  key: string;
  request_hash: string;
  status: number | null;
  body: Json<unknown> | null;
  created_at: Generated<Date>;
}

export interface DoorsTable {
  org: string;
  job: string;
  port: number;
  main: boolean;
  guard: Json<DoorGuard>;
  opened_at: Generated<Date>;
}

export interface UrlAliasesTable {
  id: string;
  org: string;
  subdomain: string;
  workspace: string;
  port: number | null;
  guard: Json<DoorGuard>;
  created_at: Generated<Date>;
}

export interface SshKeysTable {
  id: string;
  org: string;
  /** the one job it opens; null: all of the organisation */
  job: string | null;
  name: string;
  fingerprint: string;
  public_key: string;
  created_at: Generated<Date>;
  expires_at: Date | null;
}

export interface Tables {
  organisations: OrganisationsTable;
  nodes: NodesTable;
  jobs: JobsTable;
  crons: CronsTable;
  cron_runs: CronRunsTable;
  files: FilesTable;
  sessions: SessionsTable;
  tokens: TokensTable;
  idempotency_keys: IdempotencyKeysTable;
  doors: DoorsTable;
  url_aliases: UrlAliasesTable;
  ssh_keys: SshKeysTable;
}
