"""What the API answers; written by scripts/gen-types.ts from the schemas in protocol."""

from __future__ import annotations

from typing import Dict, List, Literal, Optional, TypedDict


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
    #: Job whose machine it shares, because that one has the workspace
    host_job: Optional[str]
    #: What keeps an accepted job from starting, where that is its workspace
    waiting_for: Optional[str]
    persistent: bool
    no_sleep: bool
    startup_command: Optional[str]
    #: Time the script may run, in seconds; null for ever
    timeout: Optional[float]
    attempt: int
    created_at: str
    started_at: Optional[str]
    completed_at: Optional[str]
    script_duration_ms: Optional[float]
    #: From acceptance to the final status
    duration_ms: Optional[float]
    log_truncated: bool
    ran_by: Optional[RanBy]


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


class Logs(TypedDict):
    logs: List[LogEntry]
    end: Optional[LogEnd]
    #: Cursor for ?after=, null when nothing more is there now
    next: Optional[str]


class PoolStatus(TypedDict):
    idle_vms: int
    busy_vms: int
    total_vms: int
    min_pool_size: int
    max_pool_size: int


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
