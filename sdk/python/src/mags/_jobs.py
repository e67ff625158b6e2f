from __future__ import annotations

import time
from typing import Any, AsyncGenerator, Dict, List, Mapping, Optional, Sequence, Union, cast

from ._errors import MagsError
from ._follow import follow, text_of
from ._http import REMOVE, Http, path_of, pause_before
from ._results import Machine, RunResult
from ._transport import closing
from .types import Job, JobAccepted, JobList, JobMetrics, LogEntry, Logs, PoolStatus, Usage, UsageReport

#: longest time that the server holds a status request, in seconds
HELD = 25.0
#: waiting outlives a restart of the server: it is given up after this long without an answer
GIVE_UP = 60.0
LONGEST_PAUSE = 2.0
FINAL = ("completed", "error", "stopped")


class JobCalls:
    """Jobs; ``request_id`` may also be the name of a live job or of the workspace that it works on."""

    _http: Http

    async def run(
        self,
        script: str,
        *,
        name: Optional[str] = None,
        workspace_id: Optional[str] = None,
        base_workspace_id: Optional[str] = None,
        persistent: Optional[bool] = None,
        ephemeral: Optional[bool] = None,
        no_sleep: Optional[bool] = None,
        no_sync: Optional[bool] = None,
        startup_command: Optional[str] = None,
        environment: Optional[Mapping[str, str]] = None,
        secrets: Optional[Mapping[str, str]] = None,
        file_ids: Optional[Sequence[str]] = None,
        disk_gb: Optional[float] = None,
        vcpus: Optional[float] = None,
        memory_mb: Optional[int] = None,
        rootfs_type: Optional[str] = None,
        entrypoint: Optional[bool] = None,
        isolation: Optional[str] = None,
        runtime: Optional[str] = None,
        sleep: Optional[str] = None,
        image_digest: Optional[str] = None,
        node_labels: Optional[Mapping[str, str]] = None,
        node_retries: Optional[int] = None,
        idle_minutes: Optional[float] = None,
        network: Union[str, Mapping[str, Sequence[str]], None] = None,
        on_busy: Optional[str] = None,
        timeout: Optional[int] = None,
    ) -> JobAccepted:
        """Starts a job and returns at once, with its ``request_id``, ``name`` and ``status``.

        What is not given is left to the server's defaults. ``timeout`` is how long the script may run, in seconds.
        ``network`` is ``"none"`` or ``{"allow": [names, addresses, networks]}``; ``on_busy`` is ``"wait"`` or ``"fail"``,
        while another job has the workspace. ``node_retries`` is how often the script is started again, from its beginning,
        after its node was lost. ``sleep="suspend"`` keeps the processes of a virtual machine while it sleeps.
        """
        body = {
            "script": script,
            "type": "inline",
            "name": name,
            "workspace_id": workspace_id,
            "base_workspace_id": base_workspace_id,
            "persistent": persistent,
            "ephemeral": ephemeral,
            "no_sleep": no_sleep,
            "no_sync": no_sync,
            "startup_command": startup_command,
            "environment": environment,
            "secrets": secrets,
            "file_ids": file_ids,
            "disk_gb": disk_gb,
            "vcpus": vcpus,
            "memory_mb": memory_mb,
            "rootfs_type": rootfs_type,
            "entrypoint": entrypoint,
            "isolation": isolation,
            "runtime": runtime,
            "sleep": sleep,
            "image_digest": image_digest,
            "node_labels": node_labels,
            "node_retries": node_retries,
            "idle_minutes": idle_minutes,
            "network": network,
            "on_busy": on_busy,
            "timeout": timeout,
        }
        return await self._http.call("POST", "/mags-jobs", body=body)

    async def run_and_wait(
        self,
        script: str,
        *,
        timeout: Optional[float] = 60.0,
        poll_interval: Optional[float] = None,
        script_timeout: Optional[int] = None,
        **options: Any,
    ) -> RunResult:
        """Runs a script and waits until it has ended; a persistent job's machine then goes on.

        ``options`` are those of ``run``. ``script_timeout`` limits the script (its end is then status ``error``),
        ``timeout`` this call: it raises MagsError of code ``timeout`` when so many seconds pass first, and the job goes
        on. ``poll_interval`` is accepted and not needed: the server is not polled, it answers when the script has ended.

        Returns ``request_id``, ``name``, ``status``, ``exit_code``, ``duration_ms`` (of the script), ``logs``,
        ``stdout``, ``stderr``, ``signal``, ``error`` and ``reason``.
        """
        started = await self.run(script, timeout=script_timeout, **options)
        request_id = started["request_id"]
        job = await self.wait(request_id, timeout=timeout)
        logs = (await self.logs(request_id))["logs"]
        return {
            "request_id": request_id,
            "name": started["name"],
            "status": job["status"],
            "exit_code": job.get("exit_code"),
            "duration_ms": job.get("script_duration_ms"),
            "logs": logs,
            "stdout": text_of(logs, "stdout"),
            "stderr": text_of(logs, "stderr"),
            "signal": job.get("signal"),
            "error": job.get("error"),
            "reason": job.get("reason"),
        }

    async def wait(self, request_id: str, *, timeout: Optional[float] = None) -> Job:
        """Waits until the script of a job has ended, across restarts of the server, and returns the job.

        One that is not persistent has ended when what it wrote to its workspace is durable.
        """
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        answered_at, failures = time.monotonic(), 0
        while True:
            try:
                held = max(0.0, min(HELD, deadline - time.monotonic()))
                job = await self.status(request_id, wait=held)
                if job["status"] in FINAL or (job["persistent"] and job["exit_code"] is not None):
                    return job
                answered_at, failures = time.monotonic(), 0
            except MagsError as failure:
                failures += 1
                pause = pause_before(failure, failures, LONGEST_PAUSE)
                if pause is None or time.monotonic() - answered_at > GIVE_UP:
                    raise
                await self._http.transport.sleep(pause)
            if time.monotonic() >= deadline:
                raise MagsError(
                    f"job {request_id} has not ended within {timeout:g} s",
                    code="timeout",
                    hint="It goes on; wait again, or stop it.",
                    job_id=request_id,
                )

    async def new(
        self,
        name: str,
        *,
        persistent: Optional[bool] = None,
        timeout: float = 30.0,
        poll_interval: Optional[float] = None,
        **options: Any,
    ) -> Machine:
        """Starts a machine that stays, on the workspace ``name``, and returns once it is up.

        ``options`` are those of ``run``. The workspace is kept whatever ``persistent`` says. Returns ``request_id``,
        ``status`` (``running``) and ``vm_id``.
        """
        started = await self.run("true", workspace_id=name, persistent=True, **options)
        job = await self.wait(started["request_id"], timeout=timeout)
        if job["status"] in FINAL:
            why = job.get("error") or job["status"]
            raise MagsError(f"the machine did not start: {why}", code="not_started", job_id=started["request_id"])
        return {"request_id": started["request_id"], "status": job["status"], "vm_id": job.get("vm_id")}

    async def status(self, request_id: str, *, wait: Optional[float] = None) -> Job:
        """A job as it is now; with ``wait`` (seconds, at most 60) held until its script has ended."""
        timeout = self._http.settings.timeout + (wait or 0)
        query = {"wait": None if wait is None else f"{wait:.3f}"}
        path = path_of("jobs", request_id, "/status")
        return await self._http.call("GET", path, query=query, timeout=timeout)

    async def logs(self, request_id: str, *, after: Optional[str] = None) -> Logs:
        """The log as far as it goes: ``logs``, one entry a line, and ``end``, None while the script runs.

        ``after`` is the cursor of an entry that is already known.
        """
        entries: List[LogEntry] = []
        while True:
            page = await self._http.call("GET", path_of("jobs", request_id, "/logs"), query={"after": after})
            entries += page["logs"]
            after = page.get("next")
            if after is None:
                return {"logs": entries, "end": page.get("end"), "next": None}

    async def follow_logs(self, request_id: str, *, after: Optional[str] = None) -> AsyncGenerator[Dict[str, Any], None]:
        """Yields the log as it grows: items of ``type`` ``entry``, and last one of type ``end``.

        A connection that is cut is taken up at the exact byte. ``after`` is the ``cursor`` of an entry already known.
        """
        async with closing(follow(self._http, request_id, after)) as items:
            async for item in items:
                yield item

    async def list_jobs(
        self,
        *,
        page: int = 1,
        page_size: int = 20,
        status: Optional[str] = None,
        name: Optional[str] = None,
        workspace_id: Optional[str] = None,
    ) -> JobList:
        """Jobs, newest first: ``jobs``, ``total``, ``page``, ``page_size``."""
        query = {"page": page, "page_size": page_size, "status": status, "name": name, "workspace_id": workspace_id}
        return await self._http.call("GET", "/mags-jobs", query=query)

    async def find_job(self, name_or_id: str) -> Optional[Job]:
        """The job of this id, name or workspace: a live one before others, by its name before its workspace; or None."""
        try:
            # An id, or the name or workspace of a live job.
            return await self.status(name_or_id)
        except MagsError as failure:
            if failure.status_code != 404:
                raise
        for key in ("name", "workspace_id"):
            page = await self._http.call("GET", "/mags-jobs", query={key: name_or_id, "page_size": 50})
            for job in page["jobs"]:
                if job.get(key) == name_or_id:
                    return cast(Job, job)
        return None

    async def stop(self, name_or_id: str) -> JobAccepted:
        """Stops a job; one that has ended already is a MagsError with status 409."""
        return await self._http.call("POST", path_of("jobs", name_or_id, "/stop"))

    async def rerun(self, request_id: str, *, workspace_id: Optional[str] = None) -> JobAccepted:
        """Runs a job again on the image and the version of its disk that it ran on.

        What the new run writes is kept in ``workspace_id``, a new one, or nowhere.
        """
        body = {"workspace_id": workspace_id}
        return await self._http.call("POST", path_of("jobs", request_id, "/rerun"), body=body)

    async def metrics(self, name_or_id: str) -> JobMetrics:
        """CPU, memory and disk that a job's machine has used over the last half hour at most: ``samples``."""
        return await self._http.call("GET", path_of("jobs", name_or_id, "/metrics"))

    async def sleep(self, name_or_id: str) -> Job:
        """Puts a persistent job's machine away and returns it when it sleeps. Whoever wants in wakes it."""
        return await self._http.call("POST", path_of("jobs", name_or_id, "/sleep"))

    async def wake(self, name_or_id: str) -> Job:
        """Wakes a sleeping machine and returns the job when it is up, at once where it is."""
        return await self._http.call("POST", path_of("jobs", name_or_id, "/wake"))

    async def update_job(
        self, request_id: str, *, startup_command: Optional[str] = None, no_sleep: Optional[bool] = None,
        idle_minutes: Optional[float] = None,
    ) -> Job:
        """Changes a live job and returns it; what is not named stays as it is. An empty ``startup_command`` removes it."""
        body = {"startup_command": REMOVE if startup_command == "" else startup_command, "no_sleep": no_sleep, "idle_minutes": idle_minutes}
        return await self._http.call("PATCH", path_of("jobs", request_id), body=body)

    async def pool_status(self) -> PoolStatus:
        """Machines ready and busy, over all nodes."""
        return await self._http.call("GET", "/mags-jobs/pool-status")

    async def usage(self, *, window_days: int = 30) -> Usage:
        """What was used in the last days: ``total_jobs``, ``vm_seconds`` and more."""
        query = {"window_days": window_days}
        return await self._http.call("GET", "/mags-jobs/usage", query=query)

    async def usage_report(
        self, *, from_: Optional[str] = None, to: Optional[str] = None, by: Sequence[str] = ("day",)
    ) -> UsageReport:
        """What was used from one UTC day, ``YYYY-MM-DD``, to another, by default the last 30: ``rows`` and ``total``.

        ``by`` is some of ``day``, ``workspace``, ``token``, and for who runs the server ``organisation``.
        """
        query = {"from": from_, "to": to, "by": ",".join(by), "format": "json"}
        return await self._http.call("GET", "/usage", query=query)
