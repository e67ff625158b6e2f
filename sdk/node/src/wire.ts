/** What the API answers; written by scripts/gen-types.ts from the schemas in protocol. */

export interface AuditEntryActor {
  kind: "token" | "member" | "cron" | "gateway" | "server";
  /** Name of the token or schedule, e-mail of the member, fingerprint of the SSH key */
  name: string;
}

export interface AuditEntry {
  organisation: string;
  /** 1, 2, 3, … without a gap */
  seq: number;
  at: string;
  actor: AuditEntryActor;
  /** operationId of the API call, or secret.read, ssh.login, session.signIn */
  action: string;
  /** What it was done to */
  target: string | null;
  /** refused: not allowed; failed: could not be done */
  outcome: "done" | "refused" | "failed";
  /** Never scripts, commands, values of variables or secrets */
  details: Record<string, string | number | boolean | string[]>;
  request_id: string | null;
  /** Where the request came from */
  address: string | null;
  /** hash of the entry before; 64 zeros for the first */
  prev: string;
  hash: string;
}

export interface AuditListHead {
  seq: number;
  hash: string;
}

export interface AuditList {
  entries: AuditEntry[];
  /** The newest entry of all */
  head: AuditListHead | null;
  /** before_seq of the next page */
  next: number | null;
}

export interface CronDeleted {
  id: string;
  deleted: true;
}

export interface CronJobNetwork {
  allow: string[];
}

export interface CronJob {
  /** Shell script; run by /bin/sh as root in /root */
  script: string;
  /** How the script is given */
  type: "inline";
  /** Keep the machine after the script has ended */
  persistent: boolean;
  /** Keep nothing; fastest */
  ephemeral: boolean;
  /** Keeps the files under this name; made where there is none yet */
  workspace_id?: string;
  /** Starts from this workspace, or from one version of it (name@version). Without workspace_id the changes are discarded */
  base_workspace_id?: string;
  /** What to do while another job has the workspace: wait for it, or fail with 409 */
  on_busy: "wait" | "fail";
  /** Never sleep when idle (needs persistent) */
  no_sleep: boolean;
  /** Minutes without use after which a persistent machine sleeps */
  idle_minutes?: number;
  /** What sleep does with the processes: end them, or keep them, memory and all, for the wake (needs persistent and a virtual machine) */
  sleep: "stop" | "suspend";
  /** Run when a sleeping machine wakes */
  startup_command?: string;
  /** Environment variables of the script */
  environment: Record<string, string>;
  /** Variables that hold secrets, by name or name@version; masked in the log. They win over environment */
  secrets: Record<string, string>;
  /** Uploaded files, placed in /root under their names before the script starts */
  file_ids: string[];
  /** Time the script may run, in seconds; if absent 300, and without limit where the job is persistent */
  timeout?: number;
  /** CPU limit */
  vcpus: number;
  /** Memory limit, in MiB */
  memory_mb: number;
  /** Size of the machine's writable disk, in GiB */
  disk_gb: number;
  /** Image: base, alpine, browser, or docker://registry/name:tag */
  rootfs_type?: string;
  /** Run the script by the image's entrypoint, where it has one; false: by /bin/sh alone */
  entrypoint: boolean;
  /** The weakest isolation the job accepts; refused where it cannot be had */
  isolation?: "container" | "vm";
  /** What the machine is made by: a virtual machine or a container; refused where it cannot be had */
  runtime?: "qemu" | "container";
  /** Run only on a node that has all of these labels */
  node_labels?: Record<string, string>;
  /** How often the job is started again, its script from the beginning, after its node was lost; else it ends with reason node_lost */
  node_retries: number;
  /** Run on exactly this image, as ran_by of an earlier job names it; refused where no node has it */
  image_digest?: string;
  /** What the machine may reach: the internet, nothing, or only names and addresses of a list */
  network: "default" | "none" | CronJobNetwork;
  /** Label; the jobs it starts have it, too */
  name: string;
  /** Five fields (minute, hour, day, month, weekday), six with seconds first, or a name such as @hourly */
  cron_expression: string;
  /** IANA name, such as Europe/Berlin */
  time_zone: string;
  enabled: boolean;
  /** What a firing does while an earlier script still runs */
  overlap: "skip" | "queue" | "allow";
  /** What happens with firings that no server was there for */
  missed: "skip" | "run_once" | "catch_up";
  /** Most missed firings that catch_up makes good, the newest */
  catch_up: number;
  /** Further tries after a failure: a job that ends in error, or a script with another exit code than 0 */
  retries: number;
  /** Time before each further try, in seconds */
  retry_delay: number;
  id: string;
  next_run_at: string | null;
  /** The next five firings */
  next_runs: string[];
  /** When it last started a job */
  last_run_at: string | null;
  last_status: "queued" | "started" | "succeeded" | "failed" | "skipped" | null;
  /** Job of the last run; its log is the run's log */
  last_request_id: string | null;
  last_exit_code: number | null;
  /** Failures since the last success */
  failure_count: number;
  created_at: string;
  updated_at: string;
}

export interface CronList {
  cron_jobs: CronJob[];
  total: number;
}

export interface CronPreview {
  /** The next five firings */
  next_runs: string[];
}

export interface CronRun {
  id: string;
  cron_id: string;
  kind: "schedule" | "manual" | "retry";
  /** 0, or the number of the retry */
  attempt: number;
  /** When it was due */
  scheduled_at: string;
  state: "queued" | "started" | "succeeded" | "failed" | "skipped";
  /** Why it was skipped, or how it failed */
  reason: string | null;
  /** Its job */
  request_id: string | null;
  exit_code: number | null;
  /** Version of the workspace that it began with */
  from_version: number | null;
  /** Version that it left; null where it changed nothing */
  version: number | null;
  started_at: string | null;
  ended_at: string | null;
  /** Of the script */
  duration_ms: number | null;
}

export interface CronRunList {
  runs: CronRun[];
  total: number;
  page: number;
  page_size: number;
}

export interface Delivery {
  /** The webhook-id header: the same at every try */
  id: string;
  event: string;
  /** The job */
  request_id: string | null;
  /** dead: given up; it can be replayed */
  state: "pending" | "delivered" | "dead";
  attempts: number;
  next_at: string | null;
  /** What the receiver answered last */
  status_code: number | null;
  error: string | null;
  created_at: string;
  ended_at: string | null;
}

export interface DeliveryList {
  deliveries: Delivery[];
  total: number;
  page: number;
  page_size: number;
}

export interface DiffEntry {
  /** From the root of the machine; bytes of a name that are no UTF-8 are shown as � */
  path: string;
  change: "added" | "removed" | "modified";
  /** What it is, or was */
  kind: "file" | "directory" | "link" | "other";
  /** Of one that was modified */
  changed: ("kind" | "content" | "mode" | "owner")[];
  bytes_before: number | null;
  bytes_after: number | null;
}

export interface Difference {
  /** One of the kinds that docs/fsck.md lists */
  kind: string;
  /** `ledger`, `store`, or the name of a node */
  where: string;
  /** The thing that it is about */
  what: string;
  /** What disagrees, in a sentence */
  said: string;
  /** What a repair does about it; null: nothing that is safe */
  repair: string | null;
  /** Whether it is gone after the repair; null: none was asked for */
  repaired: boolean | null;
}

export interface FileEntry {
  name: string;
  type: "file" | "directory" | "symlink" | "other";
  size: number;
  /** Permissions, octal */
  mode: string;
  modified_at: string;
  uid: number;
  gid: number;
  /** Where a symlink leads */
  target?: string;
}

export interface DirectoryListing {
  path: string;
  entries: FileEntry[];
}

export interface ExecResultBytes {
  stdout: number;
  stderr: number;
}

export interface ExecResultDropped {
  stdout: number;
  stderr: number;
}

export interface ExecResult {
  exit_code: number | null;
  /** By the shell's convention: exit code 128+n is signal n */
  signal: string | null;
  timed_out: boolean;
  duration_ms: number;
  /** Bytes that were printed */
  bytes: ExecResultBytes;
  /** Bytes of them that are not in the answer, because it is limited */
  dropped: ExecResultDropped;
  stdout: string;
  stderr: string;
  /** base64 where the bytes are no UTF-8 */
  stdout_encoding?: "base64";
  stderr_encoding?: "base64";
}

export interface FileDeleted {
  file_id: string;
  deleted: true;
}

export interface UploadedFile {
  file_id: string;
  /** Its name in /root of a job's machine */
  name: string;
  bytes: number;
  sha256: string;
  created_at: string;
  /** When a job last named it */
  used_at: string | null;
  /** When it is removed, unless a job names it before; each use moves this on */
  expires_at: string;
}

export interface FileList {
  files: UploadedFile[];
  total: number;
  /** Of all files of the organisation */
  total_bytes: number;
  page: number;
  page_size: number;
}

export interface FsckReportLookedAt {
  nodes: number;
  jobs: number;
  workspaces: number;
  /** Things of sandboxes and jobs on the machines */
  traces: number;
  objects: number;
}

export interface FsckReport {
  /** Nothing disagrees, or all that did was repaired */
  clean: boolean;
  /** How much was compared */
  looked_at: FsckReportLookedAt;
  /** Those that two looks, some seconds apart, have both seen */
  differences: Difference[];
  took_ms: number;
}

export interface ImageOnNode {
  image: string;
  /** absent: it is built or pulled when a job first asks for it; failed: the last try did not work */
  state: "ready" | "building" | "absent" | "failed";
  /** What is being done now */
  step: string | null;
  /** Why the last try failed */
  error: string | null;
  digest: string | null;
  /** Size of its files */
  bytes: number | null;
  created_at: string | null;
  /** Machines on the node that stand on it */
  in_use: number;
  node: string;
}

export interface ImageList {
  images: ImageOnNode[];
}

export interface RanByIsolation {
  /** The weakest isolation the job accepts; refused where it cannot be had */
  level: "container" | "vm";
  user_namespace: boolean;
  seccomp: boolean;
  kvm: boolean;
  emulated: boolean;
}

export interface RanByLimits {
  vcpus: number;
  memory_mb: number;
  disk_gb: number;
  pids: number;
  timeout: number | null;
}

export interface RanBy {
  /** Node name */
  node: string;
  /** container or qemu */
  driver: string;
  /** For example crun 1.8.1 */
  driver_version: string;
  isolation: RanByIsolation;
  image: string;
  /** sha256 of the image */
  image_digest: string;
  limits: RanByLimits;
  /** Id of the sandbox; equals vm_id */
  machine: string;
}

export interface JobActivity {
  state: "awake" | "asleep" | "waking";
  /** For example: 2 connections are open */
  because: string;
  /** When it came into this state */
  since: string;
  /** How often it was woken */
  wakes: number;
}

export interface JobNetwork {
  allow: string[];
}

export interface JobLostAttemptsItem {
  attempt: number;
  node: string;
  /** When its script began; null: it had not, as far as is known */
  started_at: string | null;
  lost_at: string;
  error: string;
}

export interface Job {
  request_id: string;
  name: string;
  status: "accepted" | "starting" | "running" | "sleeping" | "completed" | "error" | "stopped";
  vm_id: string | null;
  subdomain: string | null;
  url: string | null;
  /** Exit code of the script; 128+n when signal n ended it */
  exit_code: number | null;
  signal: string | null;
  /** Why the status is error */
  error: string | null;
  /** Machine-readable reason of a final status: exited, timeout, out_of_memory, stopped, node_lost, start_failed, … */
  reason: string | null;
  /** Workspace that keeps its files */
  workspace_id: string | null;
  /** Workspace it started from, as the request named it */
  base_workspace_id: string | null;
  /** Version that its disk began as, as name@version; null: it began empty, or has not begun */
  started_from: string | null;
  /** Job that it repeats */
  rerun_of: string | null;
  /** Job whose machine it shares, because that one has the workspace */
  host_job: string | null;
  /** What keeps an accepted job from starting, where that is its workspace */
  waiting_for: string | null;
  persistent: boolean;
  no_sleep: boolean;
  /** Minutes without use after which it sleeps; null: the server's default */
  idle_minutes: number | null;
  /** Why its machine is up or not; null where it is not persistent or has not begun */
  activity: JobActivity | null;
  startup_command: string | null;
  /** Time the script may run, in seconds; null for ever */
  timeout: number | null;
  /** What its machine may reach; of a job in the machine of another it is what that one may */
  network: "default" | "none" | JobNetwork;
  attempt: number;
  /** How often it is started again after its node was lost */
  node_retries: number;
  /** Starts that were lost with their node, the first one first */
  lost_attempts: JobLostAttemptsItem[];
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  script_duration_ms: number | null;
  /** From acceptance to the final status */
  duration_ms: number | null;
  log_truncated: boolean;
  ran_by: RanBy | null;
  /** Versions of secrets that its variables hold, as name@version */
  secrets: Record<string, string>;
  /** Who started it, such as token ci, member ann@example.org or cron nightly */
  created_by: string | null;
  /** Schedule that started it */
  cron_id: string | null;
  /** X-Request-Id of the request that made it; it is in the logs of server and agent */
  http_request_id: string | null;
}

export interface JobAccepted {
  request_id: string;
  name: string;
  status: "accepted" | "starting" | "running" | "sleeping" | "completed" | "error" | "stopped";
  message: string;
}

export interface JobList {
  jobs: Job[];
  total: number;
  page: number;
  page_size: number;
}

export interface MetricSample {
  at: string;
  /** CPUs in use on average since the sample before */
  cpus: number;
  memory_bytes: number;
  /** Written to its disk since the sample before */
  written_bytes: number;
}

export interface JobMetrics {
  interval_seconds: number;
  /** Limit of the machine */
  vcpus: number;
  /** Limit of the machine, in MiB */
  memory_mb: number;
  /** Connections into it now: dialled ports and sessions */
  open_connections: number;
  /** Oldest first, at most the last half hour; empty while no machine is up */
  samples: MetricSample[];
}

export interface JoinTokenMade {
  /** Works once; it is shown this once */
  join_token: string;
  roles: ("agent" | "gateway")[];
  expires_at: string;
}

export interface LogEndBytes {
  stdout: number;
  stderr: number;
}

export interface LogEndDropped {
  stdout: number;
  stderr: number;
}

export interface LogEnd {
  status: string;
  exit_code: number | null;
  signal: string | null;
  reason: string | null;
  /** Bytes kept */
  bytes: LogEndBytes;
  /** Bytes dropped at the log limit */
  dropped: LogEndDropped;
}

export interface LogEntry {
  timestamp: string;
  level: "info" | "error" | "warn";
  source: "stdout" | "stderr" | "system";
  message: string;
  offset: number;
  bytes: number;
  newline: boolean;
  encoding?: "base64";
}

export interface LoginApproved {
  /** For the program, once */
  code: string;
  /** Seconds */
  expires_in: number;
}

export interface LoginExchanged {
  id: string;
  name: string;
  scopes: ("read" | "run" | "admin" | "operator")[];
  /** Name of the token, or e-mail of the member, that made it */
  created_by: string | null;
  /** E-mail of the member whose token it is: it may never do more than the member, and goes with the member */
  member: string | null;
  created_at: string;
  expires_at: string | null;
  /** To the minute */
  last_used_at: string | null;
  /** The secret; it is shown this once */
  token: string;
  organisation: string;
}

export interface Logs {
  logs: LogEntry[];
  end: LogEnd | null;
  /** Cursor for ?after=, null when nothing more is there now */
  next: string | null;
}

export interface Member {
  id: string;
  email: string;
  name: string;
  role: "owner" | "admin" | "member" | "viewer";
  /** invited: has not signed in and has no password yet */
  state: "active" | "invited" | "disabled";
  has_password: boolean;
  last_sign_in_at: string | null;
  created_at: string;
}

export interface MemberDeleted {
  id: string;
  deleted: true;
}

export interface MemberList {
  members: Member[];
  total: number;
}

export interface MemberMadeInvite {
  /** The secret; it is shown this once and works once */
  token: string;
  /** Link to hand on: whoever opens it chooses the password */
  url: string;
  expires_at: string;
}

export interface MemberMade {
  id: string;
  email: string;
  name: string;
  role: "owner" | "admin" | "member" | "viewer";
  /** invited: has not signed in and has no password yet */
  state: "active" | "invited" | "disabled";
  has_password: boolean;
  last_sign_in_at: string | null;
  created_at: string;
  /** null where a password was given */
  invite: MemberMadeInvite | null;
}

export interface PoolStatus {
  idle_vms: number;
  busy_vms: number;
  total_vms: number;
  min_pool_size: number;
  max_pool_size: number;
}

export interface NodeRuntimes {
  offered: ("qemu" | "container")[];
  /** What a job gets that asks for none */
  default: "qemu" | "container";
  /** What that is and why, in words */
  because: string;
}

export interface NodeDisk {
  total_bytes: number;
  free_bytes: number;
}

export interface Node {
  name: string;
  /** draining: gets no new work; drained: has none left; away: has said nothing for 15 seconds */
  state: "ready" | "draining" | "drained" | "away";
  vcpus: number;
  memory_mb: number;
  /** Of the jobs that it has now */
  used_vcpus: number;
  used_memory_mb: number;
  /** Jobs that it has now */
  jobs: number;
  /** Workspaces with changes that are on this node only */
  dirty_workspaces: number;
  isolation: string[];
  /** What its sandboxes may be; null where it does not answer */
  runtimes: NodeRuntimes | null;
  rootfs_types: string[];
  seen_at: string;
  draining_since: string | null;
  /** Its store of volumes, with what that can still grow into; null where it does not answer */
  disk: NodeDisk | null;
  /** It came with a join token; else it is a server's own machine */
  joined: boolean;
  labels: Record<string, string>;
  /** Its ready machines; null where it does not answer */
  pool: PoolStatus | null;
}

export interface NodeList {
  nodes: Node[];
  total: number;
}

export interface NodeRemoved {
  name: string;
  removed: true;
}

export interface OrganisationListOrganisationsItem {
  id: string;
  created_at: string;
  tokens: number;
}

export interface OrganisationList {
  organisations: OrganisationListOrganisationsItem[];
  total: number;
}

export interface TokenMade {
  id: string;
  name: string;
  scopes: ("read" | "run" | "admin" | "operator")[];
  /** Name of the token, or e-mail of the member, that made it */
  created_by: string | null;
  /** E-mail of the member whose token it is: it may never do more than the member, and goes with the member */
  member: string | null;
  created_at: string;
  expires_at: string | null;
  /** To the minute */
  last_used_at: string | null;
  /** The secret; it is shown this once */
  token: string;
}

export interface OrganisationMade {
  id: string;
  token: TokenMade;
}

export interface OrganisationQuotaLimits {
  /** Machines up or about to be; sleeping ones do not count */
  sandboxes: number | null;
  /** The vcpus of those machines together */
  vcpus: number | null;
  /** Their memory together, in MiB */
  memory_mb: number | null;
  /** Jobs that may be started, filled evenly */
  jobs_per_minute: number | null;
  workspaces: number | null;
  /** Workspaces in the object store, equal chunks counted once */
  stored_bytes: number | null;
}

export interface OrganisationQuotaUsed {
  sandboxes: number;
  vcpus: number;
  memory_mb: number;
  /** Jobs of the last minute */
  jobs_per_minute: number;
  workspaces: number;
  stored_bytes: number;
}

export interface OrganisationQuota {
  organisation: string;
  limits: OrganisationQuotaLimits;
  used: OrganisationQuotaUsed;
}

export interface RecoveryPoint {
  /** Everything up to this time is in the object store; null: nothing yet */
  durable_at: string | null;
  /** Written since, as far as it is known */
  pending_bytes: number;
  /** There may be changes that only the node has */
  dirty: boolean;
  last_sync_ms: number | null;
  /** Why the last sync failed; null when it did not */
  last_error: string | null;
}

export interface Secret {
  name: string;
  /** The newest */
  version: number;
  /** Those that a job may name, newest first */
  versions: number[];
  created_at: string;
  updated_at: string;
  /** Such as token ci or member ann@example.org */
  updated_by: string | null;
}

export interface SecretDeleted {
  name: string;
  deleted: true;
}

export interface SecretList {
  secrets: Secret[];
  total: number;
}

export interface SshKey {
  id: string;
  name: string;
  /** SHA256:…, as ssh-keygen -l shows it */
  fingerprint: string;
  public_key: string;
  created_at: string;
}

export interface SshKeyList {
  keys: SshKey[];
  total: number;
}

export interface SshOpened {
  success: true;
  port: 22;
  ssh_host: string;
  ssh_port: number;
  ssh_user: string;
  /** Shown once: only its public half is kept */
  ssh_private_key: string;
  /** Public key of the gateway, as known_hosts has it */
  ssh_host_key: string;
  expires_at: string;
}

export interface SyncResult {
  /** null for the disk of a persistent job without one */
  workspace_id: string | null;
  /** Everything written before the request is in the object store */
  synced: boolean;
  version: number | null;
  durable_at: string | null;
  sync_ms: number;
  new_bytes: number;
  message: string;
}

export interface Token {
  id: string;
  name: string;
  scopes: ("read" | "run" | "admin" | "operator")[];
  /** Name of the token, or e-mail of the member, that made it */
  created_by: string | null;
  /** E-mail of the member whose token it is: it may never do more than the member, and goes with the member */
  member: string | null;
  created_at: string;
  expires_at: string | null;
  /** To the minute */
  last_used_at: string | null;
}

export interface TokenList {
  tokens: Token[];
  total: number;
}

export interface UrlAlias {
  id: string;
  subdomain: string;
  url: string;
  workspace_id: string;
  port: number | null;
  created_at: string;
  access: "public" | "token" | "password";
  /** Shown once. Send it as X-Mags-Token, or open the URL with ?mags_token=… once: a cookie then holds it */
  token?: string;
  username?: string;
  /** Shown once, where it was generated */
  password?: string;
}

export interface UrlAliasList {
  aliases: UrlAlias[];
  total: number;
}

export interface UrlOpened {
  success: true;
  port: number;
  url: string;
  /** Host name of the URL below the domain of all apps */
  subdomain: string;
  access: "public" | "token" | "password";
  /** Shown once. Send it as X-Mags-Token, or open the URL with ?mags_token=… once: a cookie then holds it */
  token?: string;
  username?: string;
  /** Shown once, where it was generated */
  password?: string;
}

export interface Usage {
  window_days: number;
  since: string;
  /** Jobs created in the window */
  total_jobs: number;
  /** The same by status */
  jobs: Record<string, number>;
  /** Time that machines were up */
  vm_seconds: number;
  /** The same, times the vcpus that each might use */
  vcpu_seconds: number;
  /** The same, times the GiB of memory that each might use */
  memory_gb_seconds: number;
}

export interface UsageFigures {
  /** Jobs made */
  jobs: number;
  /** Time that machines were up, times their vcpus; sleeping ones are not up */
  vcpu_seconds: number;
  /** The same, times their GiB of memory */
  gb_seconds: number;
  /** Workspaces in the object store, GiB times hours */
  storage_gb_hours: number;
  /** What machines sent to other hosts */
  egress_bytes: number;
}

export interface UsageRow {
  day?: string;
  workspace?: string | null;
  /** Who made the jobs: `token NAME`, `member E-MAIL`, `cron NAME` */
  token?: string | null;
  organisation?: string;
  /** Jobs made */
  jobs: number;
  /** Time that machines were up, times their vcpus; sleeping ones are not up */
  vcpu_seconds: number;
  /** The same, times their GiB of memory */
  gb_seconds: number;
  /** Workspaces in the object store, GiB times hours */
  storage_gb_hours: number;
  /** What machines sent to other hosts */
  egress_bytes: number;
}

export interface UsageReport {
  from: string;
  to: string;
  by: ("day" | "workspace" | "token" | "organisation")[];
  rows: UsageRow[];
  total: UsageFigures;
}

export interface VersionDeleted {
  workspace_id: string;
  version: number;
  deleted: true;
}

export interface WorkspaceVersion {
  version: number;
  latest: boolean;
  /** Why it was made */
  reason: "completion" | "interval" | "sleep" | "stop" | "request" | "import" | "files" | "fork" | "rollback";
  /** Job that made it */
  request_id: string | null;
  created_at: string;
  /** Its content */
  size_bytes: number;
  /** What it added to the object store */
  new_bytes: number;
  disk_bytes: number;
}

export interface VersionList {
  workspace_id: string;
  versions: WorkspaceVersion[];
}

export interface VersionVerifiedBadItem {
  key: string;
  reason: string;
}

export interface VersionVerifiedFsck {
  clean: boolean;
  output: string;
}

export interface VersionVerifiedMounted {
  inodes: number;
  bytes: number;
}

export interface VersionVerified {
  ok: boolean;
  chunks: number;
  bytes: number;
  bad: VersionVerifiedBadItem[];
  fsck: VersionVerifiedFsck | null;
  mounted: VersionVerifiedMounted | null;
  took_ms: number;
}

export interface Webhook {
  id: string;
  url: string;
  events: ("job.started" | "job.completed" | "job.error" | "job.stopped" | "job.sleeping" | "job.woken")[];
  description: string | null;
  enabled: boolean;
  /** Why the server switched it off */
  disabled_reason: string | null;
  /** Since when nothing has been delivered */
  failing_since: string | null;
  created_at: string;
}

export interface WebhookDeleted {
  id: string;
  deleted: true;
}

export interface WebhookList {
  webhooks: Webhook[];
  total: number;
}

export interface WebhookMade {
  id: string;
  url: string;
  events: ("job.started" | "job.completed" | "job.error" | "job.stopped" | "job.sleeping" | "job.woken")[];
  description: string | null;
  enabled: boolean;
  /** Why the server switched it off */
  disabled_reason: string | null;
  /** Since when nothing has been delivered */
  failing_since: string | null;
  created_at: string;
  /** whsec_…, to check signatures with; it is shown this once */
  secret: string;
}

export interface WhoamiMember {
  id: string;
  email: string;
  name: string;
  role: "owner" | "admin" | "member" | "viewer";
}

export interface Whoami {
  organisation: string;
  /** Name of the token, or the member's e-mail where a browser is signed in by password */
  token: string;
  scopes: ("read" | "run" | "admin" | "operator")[];
  /** The member who is signed in, or whose token it is */
  member: WhoamiMember | null;
}

export interface WorkspaceInUseByItem {
  request_id: string;
  name: string;
  status: "accepted" | "starting" | "running" | "sleeping" | "completed" | "error" | "stopped";
}

export interface Workspace {
  /** Its name */
  workspace_id: string;
  /** Size of its disk, in GiB */
  disk_gb: number;
  /** Content of the latest version */
  size_bytes: number;
  /** What its versions have added to the object store */
  stored_bytes: number;
  /** How many there are */
  versions: number;
  /** null until something was made durable */
  latest_version: number | null;
  /** Jobs that named it, ended ones included */
  job_count: number;
  /** Jobs that write to it or wait for it, oldest first */
  in_use_by: WorkspaceInUseByItem[];
  /** Node with the newest copy */
  node: string | null;
  /** Image that its files lie over; null: the node's own */
  image: string | null;
  recovery_point: RecoveryPoint;
  /** When the latest version was made */
  last_sync_at: string | null;
  created_at: string;
  used_at: string;
}

export interface WorkspaceDeleted {
  workspace_id: string;
  deleted: true;
  /** Jobs that were stopped because of force */
  stopped_jobs: string[];
}

export interface WorkspaceDiff {
  added: number;
  removed: number;
  modified: number;
  entries: DiffEntry[];
  /** There are more than the first 10,000 */
  truncated: boolean;
  /** name@version; null: the image alone */
  before: string | null;
  /** name@version */
  after: string;
}

export interface WorkspaceList {
  workspaces: Workspace[];
  total: number;
  page: number;
  page_size: number;
}
