from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional

from ._errors import MagsError
from ._files import Progress, Upload, open_source
from ._http import Http, path_of
from .types import CronDeleted, CronJob, CronList, CronPreview, CronRunList, FileDeleted, FileList, JobAccepted


class ResourceCalls:
    """Uploaded files and schedules."""

    _http: Http

    async def upload_file(
        self,
        file: Upload,
        *,
        name: Optional[str] = None,
        progress: Optional[Progress] = None,
        timeout: Optional[float] = None,
    ) -> str:
        """Uploads a file and returns its id, for ``file_ids`` of ``run``.

        ``file`` is a path, bytes or a binary file object; ``name`` is what it is called in the machine.
        ``progress(name, sent, total)`` is called as it goes. ``timeout`` is for the whole upload, an hour by default.
        """
        source = open_source(file, name, progress)
        try:
            answer = await self._http.call(
                "POST",
                "/mags-files",
                parts=source.parts,
                timeout=3600.0 if timeout is None else timeout,
                repeatable=source.rewindable,
            )
        finally:
            source.close()
        if not isinstance(answer, dict) or not answer.get("file_id"):
            raise MagsError(f"the server gave no id for {source.name}", code="malformed_answer")
        return str(answer["file_id"])

    async def upload_files(
        self,
        file_paths: Iterable[Upload],
        *,
        progress: Optional[Progress] = None,
        timeout: Optional[float] = None,
    ) -> List[str]:
        """Uploads files, each as ``upload_file`` does (data with a name as ``(name, data)``), and returns their ids."""
        return [await self.upload_file(file, progress=progress, timeout=timeout) for file in file_paths]

    async def list_files(self, *, page: int = 1, page_size: int = 50) -> FileList:
        """Uploaded files, newest first: ``files``, ``total``, ``page``, ``page_size``."""
        return await self._http.call("GET", "/mags-files", query={"page": page, "page_size": page_size})

    async def delete_file(self, file_id: str) -> FileDeleted:
        """Deletes an uploaded file; one that a waiting job names is a MagsError with status 409."""
        return await self._http.call("DELETE", path_of("files", file_id))

    async def cron_create(
        self,
        *,
        name: str,
        cron_expression: str,
        script: str,
        workspace_id: Optional[str] = None,
        environment: Optional[Mapping[str, str]] = None,
        persistent: Optional[bool] = None,
        enabled: Optional[bool] = None,
        **options: Any,
    ) -> CronJob:
        """Runs a script on a schedule; returns it with its ``id``.

        ``options`` are further fields of the API: those of a job, ``time_zone``, ``overlap``, ``retries`` and others.
        """
        body = {
            **options,
            "name": name,
            "cron_expression": cron_expression,
            "script": script,
            "workspace_id": workspace_id,
            "environment": environment,
            "persistent": persistent,
            "enabled": enabled,
        }
        return await self._http.call("POST", "/mags-cron", body=body)

    async def cron_preview(self, cron_expression: str, *, time_zone: str = "UTC") -> CronPreview:
        """When a schedule would fire: ``next_runs``. A MagsError says why it would be refused."""
        body = {"cron_expression": cron_expression, "time_zone": time_zone}
        return await self._http.call("POST", "/mags-cron/preview", body=body)

    async def cron_list(self) -> CronList:
        """``cron_jobs``, each with ``id``, ``name``, ``cron_expression``, ``enabled``, ``last_run_at``, ``next_run_at``."""
        return await self._http.call("GET", "/mags-cron")

    async def cron_get(self, cron_id: str) -> CronJob:
        """``cron_id`` may be the name of a schedule where only one has it."""
        return await self._http.call("GET", path_of("cron", cron_id))

    async def cron_update(self, cron_id: str, **updates: Any) -> CronJob:
        """Sets the given fields, such as ``enabled=False``, and returns the schedule."""
        return await self._http.call("PATCH", path_of("cron", cron_id), body=updates)

    async def cron_run(self, cron_id: str) -> JobAccepted:
        """Starts its job now."""
        return await self._http.call("POST", path_of("cron", cron_id, "/run"))

    async def cron_runs(self, cron_id: str, *, page: int = 1, page_size: int = 20) -> CronRunList:
        """Its ``runs``, newest first."""
        query = {"page": page, "page_size": page_size}
        return await self._http.call("GET", path_of("cron", cron_id, "/runs"), query=query)

    async def cron_delete(self, cron_id: str) -> CronDeleted:
        return await self._http.call("DELETE", path_of("cron", cron_id))
