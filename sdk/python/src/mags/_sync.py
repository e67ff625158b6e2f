"""Written by tools/generate.py from the asynchronous client: change that one and run it again."""

from __future__ import annotations

from typing import Any, BinaryIO, Callable, Dict, Generator, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from ._client import Blocking
from ._files import Progress, Upload
from ._images import Browser
from ._results import CommandResult, Machine, RunResult
from ._session import Session, begin
from ._transport import complete, iterate
from .types import AuditEntry, AuditList, CronDeleted, CronJob, CronList, CronPreview, CronRunList, Delivery, DeliveryList, DirectoryListing, FileDeleted, FileEntry, FileList, FsckReport, ImageList, ImageOnNode, Job, JobAccepted, JobList, JobMetrics, JoinTokenMade, Logs, Member, MemberDeleted, MemberList, MemberMade, Node, NodeList, NodeRemoved, OrganisationQuota, PoolStatus, Secret, SecretDeleted, SecretList, SyncResult, TokenList, TokenMade, UrlAlias, UrlAliasList, Usage, UsageReport, VersionDeleted, VersionList, VersionVerified, Webhook, WebhookDeleted, WebhookList, WebhookMade, Whoami, Workspace, WorkspaceDeleted, WorkspaceDiff, WorkspaceList, WorkspaceVersion


class Mags(Blocking):
    """A client of one Mags server that blocks while it waits. All calls raise MagsError.

    ``api_token`` falls back to ``MAGS_API_TOKEN`` and ``MAGS_TOKEN``, ``api_url`` to ``MAGS_API_URL`` and
    ``http://127.0.0.1:7070``; ``timeout`` is for one call with its retries, in seconds.
    """

    def __enter__(self) -> Mags:
        return self

    def run(
        self, script: str, *, name: Optional[str] = None, workspace_id: Optional[str] = None,
        base_workspace_id: Optional[str] = None, persistent: Optional[bool] = None, ephemeral: Optional[bool] = None,
        no_sleep: Optional[bool] = None, no_sync: Optional[bool] = None, startup_command: Optional[str] = None,
        environment: Optional[Mapping[str, str]] = None, secrets: Optional[Mapping[str, str]] = None,
        file_ids: Optional[Sequence[str]] = None, disk_gb: Optional[float] = None, vcpus: Optional[float] = None,
        memory_mb: Optional[int] = None, rootfs_type: Optional[str] = None, entrypoint: Optional[bool] = None,
        isolation: Optional[str] = None, runtime: Optional[str] = None, sleep: Optional[str] = None,
        image_digest: Optional[str] = None, node_labels: Optional[Mapping[str, str]] = None,
        node_retries: Optional[int] = None, idle_minutes: Optional[float] = None,
        network: Union[str, Mapping[str, Sequence[str]], None] = None, on_busy: Optional[str] = None,
        timeout: Optional[int] = None,
    ) -> JobAccepted:
        """Starts a job and returns at once, with its ``request_id``, ``name`` and ``status``.

        What is not given is left to the server's defaults. ``timeout`` is how long the script may run, in seconds.
        ``network`` is ``"none"`` or ``{"allow": [names, addresses, networks]}``; ``on_busy`` is ``"wait"`` or ``"fail"``,
        while another job has the workspace. ``node_retries`` is how often the script is started again, from its beginning,
        after its node was lost. ``sleep="suspend"`` keeps the processes of a virtual machine while it sleeps.
        """
        return complete(self._calls.run(
            script, name=name, workspace_id=workspace_id, base_workspace_id=base_workspace_id, persistent=persistent,
            ephemeral=ephemeral, no_sleep=no_sleep, no_sync=no_sync, startup_command=startup_command,
            environment=environment, secrets=secrets, file_ids=file_ids, disk_gb=disk_gb, vcpus=vcpus,
            memory_mb=memory_mb, rootfs_type=rootfs_type, entrypoint=entrypoint, isolation=isolation, runtime=runtime,
            sleep=sleep, image_digest=image_digest, node_labels=node_labels, node_retries=node_retries,
            idle_minutes=idle_minutes, network=network, on_busy=on_busy, timeout=timeout,
        ))

    def run_and_wait(
        self, script: str, *, timeout: Optional[float] = 60.0, poll_interval: Optional[float] = None,
        script_timeout: Optional[int] = None, **options: Any,
    ) -> RunResult:
        """Runs a script and waits until it has ended; a persistent job's machine then goes on.

        ``options`` are those of ``run``. ``script_timeout`` limits the script (its end is then status ``error``),
        ``timeout`` this call: it raises MagsError of code ``timeout`` when so many seconds pass first, and the job goes
        on. ``poll_interval`` is accepted and not needed: the server is not polled, it answers when the script has ended.

        Returns ``request_id``, ``name``, ``status``, ``exit_code``, ``duration_ms`` (of the script), ``logs``,
        ``stdout``, ``stderr``, ``signal``, ``error`` and ``reason``.
        """
        return complete(self._calls.run_and_wait(
            script, timeout=timeout, poll_interval=poll_interval, script_timeout=script_timeout, **options,
        ))

    def wait(self, request_id: str, *, timeout: Optional[float] = None) -> Job:
        """Waits until the script of a job has ended, across restarts of the server, and returns the job.

        One that is not persistent has ended when what it wrote to its workspace is durable.
        """
        return complete(self._calls.wait(request_id, timeout=timeout))

    def new(
        self, name: str, *, persistent: Optional[bool] = None, timeout: float = 30.0,
        poll_interval: Optional[float] = None, **options: Any,
    ) -> Machine:
        """Starts a machine that stays, on the workspace ``name``, and returns once it is up.

        ``options`` are those of ``run``. The workspace is kept whatever ``persistent`` says. Returns ``request_id``,
        ``status`` (``running``) and ``vm_id``.
        """
        return complete(self._calls.new(
            name, persistent=persistent, timeout=timeout, poll_interval=poll_interval, **options,
        ))

    def status(self, request_id: str, *, wait: Optional[float] = None) -> Job:
        """A job as it is now; with ``wait`` (seconds, at most 60) held until its script has ended."""
        return complete(self._calls.status(request_id, wait=wait))

    def logs(self, request_id: str, *, after: Optional[str] = None) -> Logs:
        """The log as far as it goes: ``logs``, one entry a line, and ``end``, None while the script runs.

        ``after`` is the cursor of an entry that is already known.
        """
        return complete(self._calls.logs(request_id, after=after))

    def follow_logs(self, request_id: str, *, after: Optional[str] = None) -> Generator[Dict[str, Any], None, None]:
        """Yields the log as it grows: items of ``type`` ``entry``, and last one of type ``end``.

        A connection that is cut is taken up at the exact byte. ``after`` is the ``cursor`` of an entry already known.
        """
        return iterate(self._calls.follow_logs(request_id, after=after))

    def list_jobs(
        self, *, page: int = 1, page_size: int = 20, status: Optional[str] = None, name: Optional[str] = None,
        workspace_id: Optional[str] = None,
    ) -> JobList:
        """Jobs, newest first: ``jobs``, ``total``, ``page``, ``page_size``."""
        return complete(self._calls.list_jobs(
            page=page, page_size=page_size, status=status, name=name, workspace_id=workspace_id,
        ))

    def find_job(self, name_or_id: str) -> Optional[Job]:
        """The job of this id, name or workspace: a live one before others, by its name before its workspace; or None."""
        return complete(self._calls.find_job(name_or_id))

    def stop(self, name_or_id: str) -> JobAccepted:
        """Stops a job; one that has ended already is a MagsError with status 409."""
        return complete(self._calls.stop(name_or_id))

    def rerun(self, request_id: str, *, workspace_id: Optional[str] = None) -> JobAccepted:
        """Runs a job again on the image and the version of its disk that it ran on.

        What the new run writes is kept in ``workspace_id``, a new one, or nowhere.
        """
        return complete(self._calls.rerun(request_id, workspace_id=workspace_id))

    def metrics(self, name_or_id: str) -> JobMetrics:
        """CPU, memory and disk that a job's machine has used over the last half hour at most: ``samples``."""
        return complete(self._calls.metrics(name_or_id))

    def sleep(self, name_or_id: str) -> Job:
        """Puts a persistent job's machine away and returns it when it sleeps. Whoever wants in wakes it."""
        return complete(self._calls.sleep(name_or_id))

    def wake(self, name_or_id: str) -> Job:
        """Wakes a sleeping machine and returns the job when it is up, at once where it is."""
        return complete(self._calls.wake(name_or_id))

    def update_job(
        self, request_id: str, *, startup_command: Optional[str] = None, no_sleep: Optional[bool] = None,
        idle_minutes: Optional[float] = None,
    ) -> Job:
        """Changes a live job and returns it; what is not named stays as it is. An empty ``startup_command`` removes it."""
        return complete(self._calls.update_job(
            request_id, startup_command=startup_command, no_sleep=no_sleep, idle_minutes=idle_minutes,
        ))

    def pool_status(self) -> PoolStatus:
        """Machines ready and busy, over all nodes."""
        return complete(self._calls.pool_status())

    def usage(self, *, window_days: int = 30) -> Usage:
        """What was used in the last days: ``total_jobs``, ``vm_seconds`` and more."""
        return complete(self._calls.usage(window_days=window_days))

    def usage_report(
        self, *, from_: Optional[str] = None, to: Optional[str] = None, by: Sequence[str] = ('day',),
    ) -> UsageReport:
        """What was used from one UTC day, ``YYYY-MM-DD``, to another, by default the last 30: ``rows`` and ``total``.

        ``by`` is some of ``day``, ``workspace``, ``token``, and for who runs the server ``organisation``.
        """
        return complete(self._calls.usage_report(from_=from_, to=to, by=by))

    def exec(
        self, name_or_id: str, command: Union[str, Sequence[str]], *, timeout: float = 30.0,
        stdin: Union[str, bytes, None] = None, env: Optional[Mapping[str, str]] = None, cwd: Optional[str] = None,
        user: Optional[str] = None,
    ) -> CommandResult:
        """Runs a command in a machine: a text by its shell, a list as program and arguments.

        ``timeout`` limits it, in seconds. A command that fails is no error: look at ``exit_code``.
        """
        return complete(self._calls.exec(
            name_or_id, command, timeout=timeout, stdin=stdin, env=env, cwd=cwd, user=user,
        ))

    def enable_access(self, request_id: str, *, port: int = 8080, **options: Any) -> Dict[str, Any]:
        """Opens a port of a persistent job: 22 answers ``ssh_host``, ``ssh_port``, ``ssh_private_key``, others a ``url``.

        ``options`` are further fields of the API, such as ``access="token"``.
        """
        return complete(self._calls.enable_access(request_id, port=port, **options))

    def url(self, name_or_id: str, *, port: int = 8080, **options: Any) -> Dict[str, Any]:
        """The public ``url`` of a port of a persistent job."""
        return complete(self._calls.url(name_or_id, port=port, **options))

    def url_alias_create(
        self, subdomain: str, workspace_id: str, domain: Optional[str] = None, **options: Any,
    ) -> UrlAlias:
        """A stable name that follows the workspace to whichever machine holds it; returns it with its ``url``."""
        return complete(self._calls.url_alias_create(subdomain, workspace_id, domain, **options))

    def url_alias_list(self) -> UrlAliasList:
        """``aliases`` and ``total``."""
        return complete(self._calls.url_alias_list())

    def url_alias_delete(self, subdomain: str) -> Dict[str, Any]:
        return complete(self._calls.url_alias_delete(subdomain))

    def session(
        self, name_or_id: str, command: Union[str, Sequence[str], None] = None, *,
        env: Optional[Mapping[str, str]] = None, cwd: Optional[str] = None, user: Optional[str] = None,
        timeout: Optional[float] = None, terminal: Optional[Tuple[int, int]] = None, term: str = 'xterm',
    ) -> Session:
        """A command to talk to in a machine that is up, or is woken for it; a login shell where none is given.

        A string is run by ``/bin/sh``, a list is a program and its arguments. ``terminal`` is the columns and rows of a
        terminal for it; its outputs are one there. It is killed after ``timeout`` seconds. Leave it with ``close`` or use
        it in a ``with`` block: the command gets SIGHUP when its caller leaves.
        """
        return begin(self._calls.session(
            name_or_id, command, env=env, cwd=cwd, user=user, timeout=timeout, terminal=terminal, term=term,
        ))

    def list_images(self) -> ImageList:
        """The images of the nodes: every recipe, and every image of a registry that is on a node or was tried."""
        return complete(self._calls.list_images())

    def make_image(self, image: str, *, node: Optional[str] = None) -> ImageList:
        """Begins to build or pull an image and returns at once; where nothing has changed, nothing is done."""
        return complete(self._calls.make_image(image, node=node))

    def build_image(
        self, image: str, *, node: Optional[str] = None, progress: Optional[Callable[[ImageOnNode], None]] = None,
    ) -> List[ImageOnNode]:
        """Builds or pulls an image and returns when it is there; ``progress`` is called with what each node does."""
        return complete(self._calls.build_image(image, node=node, progress=progress))

    def remove_image(self, image: str) -> None:
        """Removes an image from every node; MagsError with status 409 while a job or workspace needs it."""
        return complete(self._calls.remove_image(image))

    def browser(self, *, timeout: float = 300.0, **options: Any) -> Browser:
        """Starts a headless Chromium in a machine that stays, and returns where to drive it when it is up.

        ``options`` are those of ``run``. The first one on a node builds the image; ``timeout`` is for all of it.
        """
        return complete(self._calls.browser(timeout=timeout, **options))

    def read_file(self, name_or_id: str, path: str, *, user: Optional[str] = None) -> bytes:
        """The content of a file."""
        return complete(self._calls.read_file(name_or_id, path, user=user))

    def write_file(
        self, name_or_id: str, path: str, content: Union[str, bytes, BinaryIO], *, mode: Optional[str] = None,
        parents: bool = False, user: Optional[str] = None,
    ) -> None:
        """Replaces a file in one step, or leaves it as it was. ``mode`` is octal, such as ``755``."""
        return complete(self._calls.write_file(name_or_id, path, content, mode=mode, parents=parents, user=user))

    def remove_file(self, name_or_id: str, path: str, *, recursive: bool = False, user: Optional[str] = None) -> None:
        return complete(self._calls.remove_file(name_or_id, path, recursive=recursive, user=user))

    def stat_file(self, name_or_id: str, path: str, *, user: Optional[str] = None) -> FileEntry:
        """What is known of a file, or of a symlink itself."""
        return complete(self._calls.stat_file(name_or_id, path, user=user))

    def list_directory(self, name_or_id: str, path: str, *, user: Optional[str] = None) -> List[FileEntry]:
        return complete(self._calls.list_directory(name_or_id, path, user=user))

    def make_directory(self, name_or_id: str, path: str, *, parents: bool = False, user: Optional[str] = None) -> None:
        return complete(self._calls.make_directory(name_or_id, path, parents=parents, user=user))

    def pack_directory(self, name_or_id: str, path: str, *, user: Optional[str] = None) -> Generator[bytes, None, None]:
        """Yields a directory as tar. Raises MagsError when the download is cut."""
        return iterate(self._calls.pack_directory(name_or_id, path, user=user))

    def unpack_directory(
        self, name_or_id: str, path: str, tar: Union[bytes, BinaryIO], *, user: Optional[str] = None,
    ) -> None:
        """Unpacks a tar into a directory, which is made where it is missing."""
        return complete(self._calls.unpack_directory(name_or_id, path, tar, user=user))

    def watch_directory(
        self, name_or_id: str, path: str, *, interval: Optional[float] = None, user: Optional[str] = None,
    ) -> Generator[Dict[str, Any], None, None]:
        """Yields what changes in a directory, at any depth: ``type`` is ``created``, ``modified`` or ``deleted``.

        The first item is of type ``ready``: from then on nothing is missed but what comes and goes between two looks at
        the tree, every ``interval`` seconds (1 by default). ``path`` of an item is below the directory.
        """
        return iterate(self._calls.watch_directory(name_or_id, path, interval=interval, user=user))

    def list_workspaces(self) -> WorkspaceList:
        """``workspaces``, each with ``workspace_id`` and what is known of it, and ``total``."""
        return complete(self._calls.list_workspaces())

    def get_workspace(self, workspace_id: str) -> Workspace:
        """One of them; ``recovery_point`` tells how much would be there if its node were lost now."""
        return complete(self._calls.get_workspace(workspace_id))

    def delete_workspace(self, workspace_id: str, *, force: bool = False) -> WorkspaceDeleted:
        """Deletes a workspace with all its versions.

        One that a live job uses is a MagsError with status 409, unless ``force``: then such jobs are stopped.
        """
        return complete(self._calls.delete_workspace(workspace_id, force=force))

    def fork_workspace(self, workspace_id: str, new_id: str, *, version: Optional[int] = None) -> Workspace:
        """Makes ``new_id`` from a version of a workspace, the latest by default, in no time at any size."""
        return complete(self._calls.fork_workspace(workspace_id, new_id, version=version))

    def resize(
        self, workspace: str, disk_gb: float, *, timeout: float = 90.0, poll_interval: Optional[float] = None,
    ) -> Workspace:
        """Grows the disk of a workspace, also while its machine is up; ``poll_interval`` is accepted and not needed."""
        return complete(self._calls.resize(workspace, disk_gb, timeout=timeout, poll_interval=poll_interval))

    def sync(self, request_id: str, *, timeout: float = 300.0) -> SyncResult:
        """Makes what a job has written to its workspace durable; returns when it is."""
        return complete(self._calls.sync(request_id, timeout=timeout))

    def sync_workspace(self, workspace_id: str, *, timeout: float = 300.0) -> SyncResult:
        """Makes everything written to a workspace durable; returns when it is."""
        return complete(self._calls.sync_workspace(workspace_id, timeout=timeout))

    def list_versions(self, workspace_id: str) -> VersionList:
        """Its ``versions``, newest first."""
        return complete(self._calls.list_versions(workspace_id))

    def delete_version(self, workspace_id: str, version: int) -> VersionDeleted:
        """Deletes a version; the latest, and one that a job is about to start from, is a MagsError with status 409."""
        return complete(self._calls.delete_version(workspace_id, version))

    def roll_back_workspace(self, workspace_id: str, version: int, *, force: bool = False) -> WorkspaceVersion:
        """Makes the content of ``version`` the latest again, as a new version."""
        return complete(self._calls.roll_back_workspace(workspace_id, version, force=force))

    def verify_workspace(
        self, workspace_id: str, *, version: Optional[int] = None, timeout: float = 3600.0,
    ) -> VersionVerified:
        """Restores a version into a scratch disk and checks every byte and the file system."""
        return complete(self._calls.verify_workspace(workspace_id, version=version, timeout=timeout))

    def diff_workspace(
        self, workspace_id: str, *, version: Optional[int] = None, from_: Optional[str] = None, timeout: float = 600.0,
    ) -> WorkspaceDiff:
        """Which files a version changed: beside what it was made from, or ``from_``, such as ``name@3``."""
        return complete(self._calls.diff_workspace(workspace_id, version=version, from_=from_, timeout=timeout))

    def list_workspace_files(
        self, workspace_id: str, path: str, *, version: Optional[int] = None, timeout: float = 90.0,
    ) -> DirectoryListing:
        """The ``entries`` of a directory, of the machine that is up, else of the latest version or ``version``."""
        return complete(self._calls.list_workspace_files(workspace_id, path, version=version, timeout=timeout))

    def export_workspace(
        self, workspace_id: str, *, format: str = 'tar', version: Optional[int] = None,
    ) -> Generator[bytes, None, None]:
        """Yields a version as it is downloaded: its files as ``tar``, the raw disk as ``ext4``, with its image as ``oci``.

        Raises MagsError when the download is cut.
        """
        return iterate(self._calls.export_workspace(workspace_id, format=format, version=version))

    def import_workspace(
        self, workspace_id: str, content: Union[bytes, BinaryIO], *, path: str = '/', format: Optional[str] = None,
        disk_gb: Optional[float] = None, sha256: Optional[str] = None, timeout: float = 3600.0,
    ) -> None:
        """Unpacks a tar into a workspace, made where there is none yet; returns when that is durable.

        With ``format`` (``tar``, ``ext4``, ``oci``) the content is an export, of which a new workspace is made; ``disk_gb`` is the
        size of its disk, and content of another ``sha256`` is refused.
        """
        return complete(self._calls.import_workspace(
            workspace_id, content, path=path, format=format, disk_gb=disk_gb, sha256=sha256, timeout=timeout,
        ))

    def read_workspace_file(self, workspace_id: str, path: str, *, version: Optional[int] = None) -> bytes:
        """A file, from the machine that is up, else from the latest version or ``version``."""
        return complete(self._calls.read_workspace_file(workspace_id, path, version=version))

    def write_workspace_file(
        self, workspace_id: str, path: str, content: Union[str, bytes, BinaryIO], *, mode: Optional[str] = None,
    ) -> None:
        """Replaces a file, and makes missing directories above it; returns when that is durable."""
        return complete(self._calls.write_workspace_file(workspace_id, path, content, mode=mode))

    def list_nodes(self) -> NodeList:
        """``nodes``, each with its ``state`` and what it has to do."""
        return complete(self._calls.list_nodes())

    def drain_node(self, name: str) -> Node:
        """Gives a node no new work; it has finished when its ``state`` is ``drained``."""
        return complete(self._calls.drain_node(name))

    def undrain_node(self, name: str) -> Node:
        """Puts a node back into service."""
        return complete(self._calls.undrain_node(name))

    def create_join_token(
        self, *, node: Optional[str] = None, roles: Optional[Sequence[str]] = None,
        expires_in_minutes: Optional[float] = None,
    ) -> JoinTokenMade:
        """Makes a ``join_token``: one machine becomes a node with it. It is shown this once."""
        return complete(self._calls.create_join_token(node=node, roles=roles, expires_in_minutes=expires_in_minutes))

    def remove_node(self, name: str, *, force: bool = False) -> NodeRemoved:
        """What it was given when it joined opens nothing any more; ``force`` also for one that is not empty."""
        return complete(self._calls.remove_node(name, force=force))

    def backup(self) -> Generator[bytes, None, None]:
        """Yields a backup of the database, a tar compressed with zstd. Raises MagsError when the download is cut."""
        return iterate(self._calls.backup())

    def fsck(self, *, repair: bool = False, timeout: float = 3600.0) -> FsckReport:
        """Compares the ledger with the machines and the object store: ``differences`` that two looks have both seen.

        ``repair`` takes away what belongs to nothing that lives, and mends what can be mended safely.
        """
        return complete(self._calls.fsck(repair=repair, timeout=timeout))

    def upload_file(
        self, file: Upload, *, name: Optional[str] = None, progress: Optional[Progress] = None,
        timeout: Optional[float] = None,
    ) -> str:
        """Uploads a file and returns its id, for ``file_ids`` of ``run``.

        ``file`` is a path, bytes or a binary file object; ``name`` is what it is called in the machine.
        ``progress(name, sent, total)`` is called as it goes. ``timeout`` is for the whole upload, an hour by default.
        """
        return complete(self._calls.upload_file(file, name=name, progress=progress, timeout=timeout))

    def upload_files(
        self, file_paths: Iterable[Upload], *, progress: Optional[Progress] = None, timeout: Optional[float] = None,
    ) -> List[str]:
        """Uploads files, each as ``upload_file`` does (data with a name as ``(name, data)``), and returns their ids."""
        return complete(self._calls.upload_files(file_paths, progress=progress, timeout=timeout))

    def list_files(self, *, page: int = 1, page_size: int = 50) -> FileList:
        """Uploaded files, newest first: ``files``, ``total``, ``page``, ``page_size``."""
        return complete(self._calls.list_files(page=page, page_size=page_size))

    def delete_file(self, file_id: str) -> FileDeleted:
        """Deletes an uploaded file; one that a waiting job names is a MagsError with status 409."""
        return complete(self._calls.delete_file(file_id))

    def cron_create(
        self, *, name: str, cron_expression: str, script: str, workspace_id: Optional[str] = None,
        environment: Optional[Mapping[str, str]] = None, persistent: Optional[bool] = None,
        enabled: Optional[bool] = None, **options: Any,
    ) -> CronJob:
        """Runs a script on a schedule; returns it with its ``id``.

        ``options`` are further fields of the API: those of a job, ``time_zone``, ``overlap``, ``retries`` and others.
        """
        return complete(self._calls.cron_create(
            name=name, cron_expression=cron_expression, script=script, workspace_id=workspace_id,
            environment=environment, persistent=persistent, enabled=enabled, **options,
        ))

    def cron_preview(self, cron_expression: str, *, time_zone: str = 'UTC') -> CronPreview:
        """When a schedule would fire: ``next_runs``. A MagsError says why it would be refused."""
        return complete(self._calls.cron_preview(cron_expression, time_zone=time_zone))

    def cron_list(self) -> CronList:
        """``cron_jobs``, each with ``id``, ``name``, ``cron_expression``, ``enabled``, ``last_run_at``, ``next_run_at``."""
        return complete(self._calls.cron_list())

    def cron_get(self, cron_id: str) -> CronJob:
        """``cron_id`` may be the name of a schedule where only one has it."""
        return complete(self._calls.cron_get(cron_id))

    def cron_update(self, cron_id: str, **updates: Any) -> CronJob:
        """Sets the given fields, such as ``enabled=False``, and returns the schedule."""
        return complete(self._calls.cron_update(cron_id, **updates))

    def cron_run(self, cron_id: str) -> JobAccepted:
        """Starts its job now."""
        return complete(self._calls.cron_run(cron_id))

    def cron_runs(self, cron_id: str, *, page: int = 1, page_size: int = 20) -> CronRunList:
        """Its ``runs``, newest first."""
        return complete(self._calls.cron_runs(cron_id, page=page, page_size=page_size))

    def cron_delete(self, cron_id: str) -> CronDeleted:
        return complete(self._calls.cron_delete(cron_id))

    def whoami(self) -> Whoami:
        """Whom the server takes this client for."""
        return complete(self._calls.whoami())

    def create_token(
        self, name: str, *, scopes: Optional[Sequence[str]] = None, expires_in_days: Optional[float] = None,
    ) -> TokenMade:
        """Makes a token; its secret, ``token`` of the answer, is shown this once. ``scopes`` is ``["run"]`` by default."""
        return complete(self._calls.create_token(name, scopes=scopes, expires_in_days=expires_in_days))

    def list_tokens(self) -> TokenList:
        return complete(self._calls.list_tokens())

    def revoke_token(self, token_id: str) -> Any:
        """From then on no server takes it."""
        return complete(self._calls.revoke_token(token_id))

    def list_members(self) -> MemberList:
        """The people of the organisation."""
        return complete(self._calls.list_members())

    def add_member(
        self, email: str, *, name: Optional[str] = None, role: Optional[str] = None, password: Optional[str] = None,
    ) -> MemberMade:
        """Without a password ``invite`` of the answer is a link to hand on; it is shown this once."""
        return complete(self._calls.add_member(email, name=name, role=role, password=password))

    def update_member(
        self, member_id: str, *, name: Optional[str] = None, role: Optional[str] = None,
        disabled: Optional[bool] = None,
    ) -> Member:
        return complete(self._calls.update_member(member_id, name=name, role=role, disabled=disabled))

    def delete_member(self, member_id: str) -> MemberDeleted:
        """With the member's tokens and sign-ins."""
        return complete(self._calls.delete_member(member_id))

    def invite_member(self, member_id: str) -> MemberMade:
        """A new link, also for a lost password; the one before ends."""
        return complete(self._calls.invite_member(member_id))

    def list_audit(
        self, *, before_seq: Optional[int] = None, limit: int = 50, action: Optional[str] = None,
        actor: Optional[str] = None, target: Optional[str] = None,
    ) -> AuditList:
        """Who did what: ``entries``, newest first, ``head`` and ``next``."""
        return complete(self._calls.list_audit(
            before_seq=before_seq, limit=limit, action=action, actor=actor, target=target,
        ))

    def export_audit(self, *, from_seq: int = 1) -> Generator[AuditEntry, None, None]:
        """Yields all entries from ``from_seq`` on, oldest first."""
        return iterate(self._calls.export_audit(from_seq=from_seq))

    def get_quota(self, organisation: Optional[str] = None) -> OrganisationQuota:
        """``limits`` and ``used`` of the own organisation, or for who runs the server of any."""
        return complete(self._calls.get_quota(organisation))

    def update_quota(self, organisation: str, limits: Mapping[str, Optional[float]]) -> OrganisationQuota:
        """For who runs the server; ``None`` takes a limit back to the server's default."""
        return complete(self._calls.update_quota(organisation, limits))

    def list_secrets(self) -> SecretList:
        """Names and versions; values are never read back."""
        return complete(self._calls.list_secrets())

    def set_secret(self, name: str, value: str) -> Secret:
        """Makes a new version."""
        return complete(self._calls.set_secret(name, value))

    def delete_secret(self, name: str) -> SecretDeleted:
        """With all versions."""
        return complete(self._calls.delete_secret(name))

    def create_webhook(
        self, url: str, *, events: Optional[Sequence[str]] = None, description: Optional[str] = None,
    ) -> WebhookMade:
        """``secret`` of the answer checks signatures; it is shown this once."""
        return complete(self._calls.create_webhook(url, events=events, description=description))

    def list_webhooks(self) -> WebhookList:
        return complete(self._calls.list_webhooks())

    def update_webhook(
        self, webhook_id: str, *, url: Optional[str] = None, events: Optional[Sequence[str]] = None,
        description: Optional[str] = None, enabled: Optional[bool] = None,
    ) -> Webhook:
        return complete(self._calls.update_webhook(
            webhook_id, url=url, events=events, description=description, enabled=enabled,
        ))

    def delete_webhook(self, webhook_id: str) -> WebhookDeleted:
        return complete(self._calls.delete_webhook(webhook_id))

    def rotate_webhook(self, webhook_id: str) -> WebhookMade:
        """A new ``secret``; the one before ends."""
        return complete(self._calls.rotate_webhook(webhook_id))

    def test_webhook(self, webhook_id: str) -> Delivery:
        return complete(self._calls.test_webhook(webhook_id))

    def list_deliveries(
        self, webhook_id: str, *, state: Optional[str] = None, page: int = 1, page_size: int = 20,
    ) -> DeliveryList:
        """Newest first."""
        return complete(self._calls.list_deliveries(webhook_id, state=state, page=page, page_size=page_size))

    def replay_delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        return complete(self._calls.replay_delivery(webhook_id, delivery_id))
