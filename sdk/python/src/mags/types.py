"""What the API answers; written by scripts/gen-types.ts from the schemas in protocol."""

from __future__ import annotations

from typing import Dict, List, Literal, Optional, TypedDict, Union


class AuditEntryActor(TypedDict):
    kind: Literal["token", "member", "cron", "gateway", "server"]
    #: Name of the token or schedule, e-mail of the member, fingerprint of the SSH key
    name: str


class AuditEntry(TypedDict):
    organisation: str
    #: 1, 2, 3, … without a gap
    seq: int
    at: str
    actor: AuditEntryActor
    #: operationId of the API call, or secret.read, ssh.login, session.signIn
    action: str
    #: What it was done to
    target: Optional[str]
    #: refused: not allowed; failed: could not be done
    outcome: Literal["done", "refused", "failed"]
    #: Never scripts, commands, values of variables or secrets
    details: Dict[str, Union[str, float, bool, List[str]]]
    request_id: Optional[str]
    #: Where the request came from
    address: Optional[str]
    #: hash of the entry before; 64 zeros for the first
    prev: str
    hash: str


class AuditListHead(TypedDict):
    seq: int
    hash: str


class AuditList(TypedDict):
    entries: List[AuditEntry]
    #: The newest entry of all
    head: Optional[AuditListHead]
    #: before_seq of the next page
    next: Optional[int]


class CronDeleted(TypedDict):
    id: str
    deleted: Literal[True]


class CronJobNetwork(TypedDict):
    allow: List[str]


class _CronJob(TypedDict):
    #: Shell script; run by /bin/sh as root in /root
    script: str
    #: How the script is given
    type: Literal["inline"]
    #: Keep the machine after the script has ended
    persistent: bool
    #: Keep nothing; fastest
    ephemeral: bool
    #: What to do while another job has the workspace: wait for it, or fail with 409
    on_busy: Literal["wait", "fail"]
    #: Never sleep when idle (needs persistent)
    no_sleep: bool
    #: What sleep does with the processes: end them, or keep them, memory and all, for the wake (needs persistent and a virtual machine)
    sleep: Literal["stop", "suspend"]
    #: Environment variables of the script
    environment: Dict[str, str]
    #: Variables that hold secrets, by name or name@version; masked in the log. They win over environment
    secrets: Dict[str, str]
    #: Uploaded files, placed in /root under their names before the script starts
    file_ids: List[str]
    #: CPU limit
    vcpus: float
    #: Memory limit, in MiB
    memory_mb: int
    #: Size of the machine's writable disk, in GiB
    disk_gb: float
    #: Run the script by the image's entrypoint, where it has one; false: by /bin/sh alone
    entrypoint: bool
    #: How often the job is started again, its script from the beginning, after its node was lost; else it ends with reason node_lost
    node_retries: int
    #: What the machine may reach: the internet, nothing, or only names and addresses of a list
    network: Union[Literal["default", "none"], CronJobNetwork]
    #: Label; the jobs it starts have it, too
    name: str
    #: Five fields (minute, hour, day, month, weekday), six with seconds first, or a name such as @hourly
    cron_expression: str
    #: IANA name, such as Europe/Berlin
    time_zone: str
    enabled: bool
    #: What a firing does while an earlier script still runs
    overlap: Literal["skip", "queue", "allow"]
    #: What happens with firings that no server was there for
    missed: Literal["skip", "run_once", "catch_up"]
    #: Most missed firings that catch_up makes good, the newest
    catch_up: int
    #: Further tries after a failure: a job that ends in error, or a script with another exit code than 0
    retries: int
    #: Time before each further try, in seconds
    retry_delay: int
    id: str
    next_run_at: Optional[str]
    #: The next five firings
    next_runs: List[str]
    #: When it last started a job
    last_run_at: Optional[str]
    last_status: Optional[Literal["queued", "started", "succeeded", "failed", "skipped"]]
    #: Job of the last run; its log is the run's log
    last_request_id: Optional[str]
    last_exit_code: Optional[int]
    #: Failures since the last success
    failure_count: int
    created_at: str
    updated_at: str


class CronJob(_CronJob, total=False):
    #: Keeps the files under this name; made where there is none yet
    workspace_id: str
    #: Starts from this workspace, or from one version of it (name@version). Without workspace_id the changes are discarded
    base_workspace_id: str
    #: Minutes without use after which a persistent machine sleeps
    idle_minutes: float
    #: Run when a sleeping machine wakes
    startup_command: str
    #: Time the script may run, in seconds; if absent 300, and without limit where the job is persistent
    timeout: int
    #: Image: base, alpine, browser, or docker://registry/name:tag
    rootfs_type: str
    #: The weakest isolation the job accepts; refused where it cannot be had
    isolation: Literal["container", "vm"]
    #: What the machine is made by: a virtual machine or a container; refused where it cannot be had
    runtime: Literal["qemu", "container"]
    #: Run only on a node that has all of these labels
    node_labels: Dict[str, str]
    #: Run on exactly this image, as ran_by of an earlier job names it; refused where no node has it
    image_digest: str


class CronList(TypedDict):
    cron_jobs: List[CronJob]
    total: int


class CronPreview(TypedDict):
    #: The next five firings
    next_runs: List[str]


class CronRun(TypedDict):
    id: str
    cron_id: str
    kind: Literal["schedule", "manual", "retry"]
    #: 0, or the number of the retry
    attempt: int
    #: When it was due
    scheduled_at: str
    state: Literal["queued", "started", "succeeded", "failed", "skipped"]
    #: Why it was skipped, or how it failed
    reason: Optional[str]
    #: Its job
    request_id: Optional[str]
    exit_code: Optional[int]
    #: Version of the workspace that it began with
    from_version: Optional[int]
    #: Version that it left; null where it changed nothing
    version: Optional[int]
    started_at: Optional[str]
    ended_at: Optional[str]
    #: Of the script
    duration_ms: Optional[float]


class CronRunList(TypedDict):
    runs: List[CronRun]
    total: int
    page: int
    page_size: int


class Delivery(TypedDict):
    #: The webhook-id header: the same at every try
    id: str
    event: str
    #: The job
    request_id: Optional[str]
    #: dead: given up; it can be replayed
    state: Literal["pending", "delivered", "dead"]
    attempts: int
    next_at: Optional[str]
    #: What the receiver answered last
    status_code: Optional[int]
    error: Optional[str]
    created_at: str
    ended_at: Optional[str]


class DeliveryList(TypedDict):
    deliveries: List[Delivery]
    total: int
    page: int
    page_size: int


class DiffEntry(TypedDict):
    #: From the root of the machine; bytes of a name that are no UTF-8 are shown as �
    path: str
    change: Literal["added", "removed", "modified"]
    #: What it is, or was
    kind: Literal["file", "directory", "link", "other"]
    #: Of one that was modified
    changed: List[Literal["kind", "content", "mode", "owner"]]
    bytes_before: Optional[int]
    bytes_after: Optional[int]


class Difference(TypedDict):
    #: One of the kinds that docs/fsck.md lists
    kind: str
    #: `ledger`, `store`, or the name of a node
    where: str
    #: The thing that it is about
    what: str
    #: What disagrees, in a sentence
    said: str
    #: What a repair does about it; null: nothing that is safe
    repair: Optional[str]
    #: Whether it is gone after the repair; null: none was asked for
    repaired: Optional[bool]


class _FileEntry(TypedDict):
    name: str
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    #: Permissions, octal
    mode: str
    modified_at: str
    uid: int
    gid: int


class FileEntry(_FileEntry, total=False):
    #: Where a symlink leads
    target: str


class DirectoryListing(TypedDict):
    path: str
    entries: List[FileEntry]


class ExecResultBytes(TypedDict):
    stdout: int
    stderr: int


class ExecResultDropped(TypedDict):
    stdout: int
    stderr: int


class _ExecResult(TypedDict):
    exit_code: Optional[int]
    #: By the shell's convention: exit code 128+n is signal n
    signal: Optional[str]
    timed_out: bool
    duration_ms: float
    #: Bytes that were printed
    bytes: ExecResultBytes
    #: Bytes of them that are not in the answer, because it is limited
    dropped: ExecResultDropped
    stdout: str
    stderr: str


class ExecResult(_ExecResult, total=False):
    #: base64 where the bytes are no UTF-8
    stdout_encoding: Literal["base64"]
    stderr_encoding: Literal["base64"]


class FileDeleted(TypedDict):
    file_id: str
    deleted: Literal[True]


class UploadedFile(TypedDict):
    file_id: str
    #: Its name in /root of a job's machine
    name: str
    bytes: int
    sha256: str
    created_at: str
    #: When a job last named it
    used_at: Optional[str]
    #: When it is removed, unless a job names it before; each use moves this on
    expires_at: str


class FileList(TypedDict):
    files: List[UploadedFile]
    total: int
    #: Of all files of the organisation
    total_bytes: int
    page: int
    page_size: int


class FsckReportLookedAt(TypedDict):
    nodes: int
    jobs: int
    workspaces: int
    #: Things of sandboxes and jobs on the machines
    traces: int
    objects: int


class FsckReport(TypedDict):
    #: Nothing disagrees, or all that did was repaired
    clean: bool
    #: How much was compared
    looked_at: FsckReportLookedAt
    #: Those that two looks, some seconds apart, have both seen
    differences: List[Difference]
    took_ms: float


class ImageOnNode(TypedDict):
    image: str
    #: absent: it is built or pulled when a job first asks for it; failed: the last try did not work
    state: Literal["ready", "building", "absent", "failed"]
    #: What is being done now
    step: Optional[str]
    #: Why the last try failed
    error: Optional[str]
    digest: Optional[str]
    #: Size of its files
    bytes: Optional[int]
    created_at: Optional[str]
    #: Machines on the node that stand on it
    in_use: int
    node: str


class ImageList(TypedDict):
    images: List[ImageOnNode]


class RanByIsolation(TypedDict):
    #: The weakest isolation the job accepts; refused where it cannot be had
    level: Literal["container", "vm"]
    user_namespace: bool
    seccomp: bool
    kvm: bool
    emulated: bool


class RanByLimits(TypedDict):
    vcpus: float
    memory_mb: float
    disk_gb: float
    pids: float
    timeout: Optional[float]


class RanBy(TypedDict):
    #: Node name
    node: str
    #: container or qemu
    driver: str
    #: For example crun 1.8.1
    driver_version: str
    isolation: RanByIsolation
    image: str
    #: sha256 of the image
    image_digest: str
    limits: RanByLimits
    #: Id of the sandbox; equals vm_id
    machine: str


class JobActivity(TypedDict):
    state: Literal["awake", "asleep", "waking"]
    #: For example: 2 connections are open
    because: str
    #: When it came into this state
    since: str
    #: How often it was woken
    wakes: int


class JobNetwork(TypedDict):
    allow: List[str]


class JobLostAttemptsItem(TypedDict):
    attempt: int
    node: str
    #: When its script began; null: it had not, as far as is known
    started_at: Optional[str]
    lost_at: str
    error: str


class Job(TypedDict):
    request_id: str
    name: str
    status: Literal["accepted", "starting", "running", "sleeping", "completed", "error", "stopped"]
    vm_id: Optional[str]
    subdomain: Optional[str]
    url: Optional[str]
    #: Exit code of the script; 128+n when signal n ended it
    exit_code: Optional[int]
    signal: Optional[str]
    #: Why the status is error
    error: Optional[str]
    #: Machine-readable reason of a final status: exited, timeout, out_of_memory, stopped, node_lost, start_failed, …
    reason: Optional[str]
    #: Workspace that keeps its files
    workspace_id: Optional[str]
    #: Workspace it started from, as the request named it
    base_workspace_id: Optional[str]
    #: Version that its disk began as, as name@version; null: it began empty, or has not begun
    started_from: Optional[str]
    #: Job that it repeats
    rerun_of: Optional[str]
    #: Job whose machine it shares, because that one has the workspace
    host_job: Optional[str]
    #: What keeps an accepted job from starting, where that is its workspace
    waiting_for: Optional[str]
    persistent: bool
    no_sleep: bool
    #: Minutes without use after which it sleeps; null: the server's default
    idle_minutes: Optional[float]
    #: Why its machine is up or not; null where it is not persistent or has not begun
    activity: Optional[JobActivity]
    startup_command: Optional[str]
    #: Time the script may run, in seconds; null for ever
    timeout: Optional[float]
    #: What its machine may reach; of a job in the machine of another it is what that one may
    network: Union[Literal["default", "none"], JobNetwork]
    attempt: int
    #: How often it is started again after its node was lost
    node_retries: int
    #: Starts that were lost with their node, the first one first
    lost_attempts: List[JobLostAttemptsItem]
    created_at: str
    started_at: Optional[str]
    completed_at: Optional[str]
    script_duration_ms: Optional[float]
    #: From acceptance to the final status
    duration_ms: Optional[float]
    log_truncated: bool
    ran_by: Optional[RanBy]
    #: Versions of secrets that its variables hold, as name@version
    secrets: Dict[str, str]
    #: Who started it, such as token ci, member ann@example.org or cron nightly
    created_by: Optional[str]
    #: Schedule that started it
    cron_id: Optional[str]
    #: X-Request-Id of the request that made it; it is in the logs of server and agent
    http_request_id: Optional[str]


class JobAccepted(TypedDict):
    request_id: str
    name: str
    status: Literal["accepted", "starting", "running", "sleeping", "completed", "error", "stopped"]
    message: str


class JobList(TypedDict):
    jobs: List[Job]
    total: int
    page: int
    page_size: int


class MetricSample(TypedDict):
    at: str
    #: CPUs in use on average since the sample before
    cpus: float
    memory_bytes: int
    #: Written to its disk since the sample before
    written_bytes: int


class JobMetrics(TypedDict):
    interval_seconds: float
    #: Limit of the machine
    vcpus: float
    #: Limit of the machine, in MiB
    memory_mb: float
    #: Connections into it now: dialled ports and sessions
    open_connections: int
    #: Oldest first, at most the last half hour; empty while no machine is up
    samples: List[MetricSample]


class JoinTokenMade(TypedDict):
    #: Works once; it is shown this once
    join_token: str
    roles: List[Literal["agent", "gateway"]]
    expires_at: str


class LogEndBytes(TypedDict):
    stdout: int
    stderr: int


class LogEndDropped(TypedDict):
    stdout: int
    stderr: int


class LogEnd(TypedDict):
    status: str
    exit_code: Optional[int]
    signal: Optional[str]
    reason: Optional[str]
    #: Bytes kept
    bytes: LogEndBytes
    #: Bytes dropped at the log limit
    dropped: LogEndDropped


class _LogEntry(TypedDict):
    timestamp: str
    level: Literal["info", "error", "warn"]
    source: Literal["stdout", "stderr", "system"]
    message: str
    offset: int
    bytes: int
    newline: bool


class LogEntry(_LogEntry, total=False):
    encoding: Literal["base64"]


class LoginApproved(TypedDict):
    #: For the program, once
    code: str
    #: Seconds
    expires_in: int


class LoginExchanged(TypedDict):
    id: str
    name: str
    scopes: List[Literal["read", "run", "admin", "operator"]]
    #: Name of the token, or e-mail of the member, that made it
    created_by: Optional[str]
    #: E-mail of the member whose token it is: it may never do more than the member, and goes with the member
    member: Optional[str]
    created_at: str
    expires_at: Optional[str]
    #: To the minute
    last_used_at: Optional[str]
    #: The secret; it is shown this once
    token: str
    organisation: str


class Logs(TypedDict):
    logs: List[LogEntry]
    end: Optional[LogEnd]
    #: Cursor for ?after=, null when nothing more is there now
    next: Optional[str]


class Member(TypedDict):
    id: str
    email: str
    name: str
    role: Literal["owner", "admin", "member", "viewer"]
    #: invited: has not signed in and has no password yet
    state: Literal["active", "invited", "disabled"]
    has_password: bool
    last_sign_in_at: Optional[str]
    created_at: str


class MemberDeleted(TypedDict):
    id: str
    deleted: Literal[True]


class MemberList(TypedDict):
    members: List[Member]
    total: int


class MemberMadeInvite(TypedDict):
    #: The secret; it is shown this once and works once
    token: str
    #: Link to hand on: whoever opens it chooses the password
    url: str
    expires_at: str


class MemberMade(TypedDict):
    id: str
    email: str
    name: str
    role: Literal["owner", "admin", "member", "viewer"]
    #: invited: has not signed in and has no password yet
    state: Literal["active", "invited", "disabled"]
    has_password: bool
    last_sign_in_at: Optional[str]
    created_at: str
    #: null where a password was given
    invite: Optional[MemberMadeInvite]


class PoolStatus(TypedDict):
    idle_vms: int
    busy_vms: int
    total_vms: int
    min_pool_size: int
    max_pool_size: int


class NodeRuntimes(TypedDict):
    offered: List[Literal["qemu", "container"]]
    #: What a job gets that asks for none
    default: Literal["qemu", "container"]
    #: What that is and why, in words
    because: str


class NodeDisk(TypedDict):
    total_bytes: float
    free_bytes: float


class Node(TypedDict):
    name: str
    #: draining: gets no new work; drained: has none left; away: has said nothing for 15 seconds
    state: Literal["ready", "draining", "drained", "away"]
    vcpus: float
    memory_mb: float
    #: Of the jobs that it has now
    used_vcpus: float
    used_memory_mb: float
    #: Jobs that it has now
    jobs: int
    #: Workspaces with changes that are on this node only
    dirty_workspaces: int
    isolation: List[str]
    #: What its sandboxes may be; null where it does not answer
    runtimes: Optional[NodeRuntimes]
    rootfs_types: List[str]
    seen_at: str
    draining_since: Optional[str]
    #: Its store of volumes, with what that can still grow into; null where it does not answer
    disk: Optional[NodeDisk]
    #: It came with a join token; else it is a server's own machine
    joined: bool
    labels: Dict[str, str]
    #: Its ready machines; null where it does not answer
    pool: Optional[PoolStatus]


class NodeList(TypedDict):
    nodes: List[Node]
    total: int


class NodeRemoved(TypedDict):
    name: str
    removed: Literal[True]


class OrganisationListOrganisationsItem(TypedDict):
    id: str
    created_at: str
    tokens: int


class OrganisationList(TypedDict):
    organisations: List[OrganisationListOrganisationsItem]
    total: int


class TokenMade(TypedDict):
    id: str
    name: str
    scopes: List[Literal["read", "run", "admin", "operator"]]
    #: Name of the token, or e-mail of the member, that made it
    created_by: Optional[str]
    #: E-mail of the member whose token it is: it may never do more than the member, and goes with the member
    member: Optional[str]
    created_at: str
    expires_at: Optional[str]
    #: To the minute
    last_used_at: Optional[str]
    #: The secret; it is shown this once
    token: str


class OrganisationMade(TypedDict):
    id: str
    token: TokenMade


class OrganisationQuotaLimits(TypedDict):
    #: Machines up or about to be; sleeping ones do not count
    sandboxes: Optional[int]
    #: The vcpus of those machines together
    vcpus: Optional[float]
    #: Their memory together, in MiB
    memory_mb: Optional[int]
    #: Jobs that may be started, filled evenly
    jobs_per_minute: Optional[int]
    workspaces: Optional[int]
    #: Workspaces in the object store, equal chunks counted once
    stored_bytes: Optional[int]


class OrganisationQuotaUsed(TypedDict):
    sandboxes: int
    vcpus: float
    memory_mb: float
    #: Jobs of the last minute
    jobs_per_minute: float
    workspaces: int
    stored_bytes: float


class OrganisationQuota(TypedDict):
    organisation: str
    limits: OrganisationQuotaLimits
    used: OrganisationQuotaUsed


class RecoveryPoint(TypedDict):
    #: Everything up to this time is in the object store; null: nothing yet
    durable_at: Optional[str]
    #: Written since, as far as it is known
    pending_bytes: int
    #: There may be changes that only the node has
    dirty: bool
    last_sync_ms: Optional[float]
    #: Why the last sync failed; null when it did not
    last_error: Optional[str]


class Secret(TypedDict):
    name: str
    #: The newest
    version: int
    #: Those that a job may name, newest first
    versions: List[int]
    created_at: str
    updated_at: str
    #: Such as token ci or member ann@example.org
    updated_by: Optional[str]


class SecretDeleted(TypedDict):
    name: str
    deleted: Literal[True]


class SecretList(TypedDict):
    secrets: List[Secret]
    total: int


class SshKey(TypedDict):
    id: str
    name: str
    #: SHA256:…, as ssh-keygen -l shows it
    fingerprint: str
    public_key: str
    created_at: str


class SshKeyList(TypedDict):
    keys: List[SshKey]
    total: int


class SshOpened(TypedDict):
    success: Literal[True]
    port: Literal["22"]
    ssh_host: str
    ssh_port: int
    ssh_user: str
    #: Shown once: only its public half is kept
    ssh_private_key: str
    #: Public key of the gateway, as known_hosts has it
    ssh_host_key: str
    expires_at: str


class SyncResult(TypedDict):
    #: null for the disk of a persistent job without one
    workspace_id: Optional[str]
    #: Everything written before the request is in the object store
    synced: bool
    version: Optional[int]
    durable_at: Optional[str]
    sync_ms: float
    new_bytes: int
    message: str


class Token(TypedDict):
    id: str
    name: str
    scopes: List[Literal["read", "run", "admin", "operator"]]
    #: Name of the token, or e-mail of the member, that made it
    created_by: Optional[str]
    #: E-mail of the member whose token it is: it may never do more than the member, and goes with the member
    member: Optional[str]
    created_at: str
    expires_at: Optional[str]
    #: To the minute
    last_used_at: Optional[str]


class TokenList(TypedDict):
    tokens: List[Token]
    total: int


class _UrlAlias(TypedDict):
    id: str
    subdomain: str
    url: str
    workspace_id: str
    port: Optional[int]
    created_at: str
    access: Literal["public", "token", "password"]


class UrlAlias(_UrlAlias, total=False):
    #: Shown once. Send it as X-Mags-Token, or open the URL with ?mags_token=… once: a cookie then holds it
    token: str
    username: str
    #: Shown once, where it was generated
    password: str


class UrlAliasList(TypedDict):
    aliases: List[UrlAlias]
    total: int


class _UrlOpened(TypedDict):
    success: Literal[True]
    port: int
    url: str
    #: Host name of the URL below the domain of all apps
    subdomain: str
    access: Literal["public", "token", "password"]


class UrlOpened(_UrlOpened, total=False):
    #: Shown once. Send it as X-Mags-Token, or open the URL with ?mags_token=… once: a cookie then holds it
    token: str
    username: str
    #: Shown once, where it was generated
    password: str


class Usage(TypedDict):
    window_days: int
    since: str
    #: Jobs created in the window
    total_jobs: int
    #: The same by status
    jobs: Dict[str, int]
    #: Time that machines were up
    vm_seconds: float
    #: The same, times the vcpus that each might use
    vcpu_seconds: float
    #: The same, times the GiB of memory that each might use
    memory_gb_seconds: float


class UsageFigures(TypedDict):
    #: Jobs made
    jobs: int
    #: Time that machines were up, times their vcpus; sleeping ones are not up
    vcpu_seconds: float
    #: The same, times their GiB of memory
    gb_seconds: float
    #: Workspaces in the object store, GiB times hours
    storage_gb_hours: float
    #: What machines sent to other hosts
    egress_bytes: float


class _UsageRow(TypedDict):
    #: Jobs made
    jobs: int
    #: Time that machines were up, times their vcpus; sleeping ones are not up
    vcpu_seconds: float
    #: The same, times their GiB of memory
    gb_seconds: float
    #: Workspaces in the object store, GiB times hours
    storage_gb_hours: float
    #: What machines sent to other hosts
    egress_bytes: float


class UsageRow(_UsageRow, total=False):
    day: str
    workspace: Optional[str]
    #: Who made the jobs: `token NAME`, `member E-MAIL`, `cron NAME`
    token: Optional[str]
    organisation: str


UsageReport = TypedDict(
    "UsageReport",
    {"from": "str", "to": "str", "by": "List[Literal[\"day\", \"workspace\", \"token\", \"organisation\"]]", "rows": "List[UsageRow]", "total": "UsageFigures"},
)


class VersionDeleted(TypedDict):
    workspace_id: str
    version: int
    deleted: Literal[True]


class WorkspaceVersion(TypedDict):
    version: int
    latest: bool
    #: Why it was made
    reason: Literal["completion", "interval", "sleep", "stop", "request", "import", "files", "fork", "rollback"]
    #: Job that made it
    request_id: Optional[str]
    created_at: str
    #: Its content
    size_bytes: int
    #: What it added to the object store
    new_bytes: int
    disk_bytes: int


class VersionList(TypedDict):
    workspace_id: str
    versions: List[WorkspaceVersion]


class VersionVerifiedBadItem(TypedDict):
    key: str
    reason: str


class VersionVerifiedFsck(TypedDict):
    clean: bool
    output: str


class VersionVerifiedMounted(TypedDict):
    inodes: int
    bytes: int


class VersionVerified(TypedDict):
    ok: bool
    chunks: int
    bytes: int
    bad: List[VersionVerifiedBadItem]
    fsck: Optional[VersionVerifiedFsck]
    mounted: Optional[VersionVerifiedMounted]
    took_ms: float


class Webhook(TypedDict):
    id: str
    url: str
    events: List[Literal["job.started", "job.completed", "job.error", "job.stopped", "job.sleeping", "job.woken"]]
    description: Optional[str]
    enabled: bool
    #: Why the server switched it off
    disabled_reason: Optional[str]
    #: Since when nothing has been delivered
    failing_since: Optional[str]
    created_at: str


class WebhookDeleted(TypedDict):
    id: str
    deleted: Literal[True]


class WebhookList(TypedDict):
    webhooks: List[Webhook]
    total: int


class WebhookMade(TypedDict):
    id: str
    url: str
    events: List[Literal["job.started", "job.completed", "job.error", "job.stopped", "job.sleeping", "job.woken"]]
    description: Optional[str]
    enabled: bool
    #: Why the server switched it off
    disabled_reason: Optional[str]
    #: Since when nothing has been delivered
    failing_since: Optional[str]
    created_at: str
    #: whsec_…, to check signatures with; it is shown this once
    secret: str


class WhoamiMember(TypedDict):
    id: str
    email: str
    name: str
    role: Literal["owner", "admin", "member", "viewer"]


class Whoami(TypedDict):
    organisation: str
    #: Name of the token, or the member's e-mail where a browser is signed in by password
    token: str
    scopes: List[Literal["read", "run", "admin", "operator"]]
    #: The member who is signed in, or whose token it is
    member: Optional[WhoamiMember]


class WorkspaceInUseByItem(TypedDict):
    request_id: str
    name: str
    status: Literal["accepted", "starting", "running", "sleeping", "completed", "error", "stopped"]


class Workspace(TypedDict):
    #: Its name
    workspace_id: str
    #: Size of its disk, in GiB
    disk_gb: float
    #: Content of the latest version
    size_bytes: int
    #: What its versions have added to the object store
    stored_bytes: int
    #: How many there are
    versions: int
    #: null until something was made durable
    latest_version: Optional[int]
    #: Jobs that named it, ended ones included
    job_count: int
    #: Jobs that write to it or wait for it, oldest first
    in_use_by: List[WorkspaceInUseByItem]
    #: Node with the newest copy
    node: Optional[str]
    #: Image that its files lie over; null: the node's own
    image: Optional[str]
    recovery_point: RecoveryPoint
    #: When the latest version was made
    last_sync_at: Optional[str]
    created_at: str
    used_at: str


class WorkspaceDeleted(TypedDict):
    workspace_id: str
    deleted: Literal[True]
    #: Jobs that were stopped because of force
    stopped_jobs: List[str]


class WorkspaceDiff(TypedDict):
    added: int
    removed: int
    modified: int
    entries: List[DiffEntry]
    #: There are more than the first 10,000
    truncated: bool
    #: name@version; null: the image alone
    before: Optional[str]
    #: name@version
    after: str


class WorkspaceList(TypedDict):
    workspaces: List[Workspace]
    total: int
    page: int
    page_size: int
