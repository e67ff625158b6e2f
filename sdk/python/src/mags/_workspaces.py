from __future__ import annotations

import time
from typing import AsyncGenerator, BinaryIO, List, Optional, Union
from urllib.parse import urlencode

from ._errors import MagsError
from ._http import Http, path_of
from ._machine_files import SILENCE, whole
from ._transport import closing
from .types import (
    DirectoryListing,
    SyncResult,
    VersionDeleted,
    VersionList,
    VersionVerified,
    Workspace,
    WorkspaceDeleted,
    WorkspaceDiff,
    WorkspaceList,
    WorkspaceVersion,
)


class WorkspaceCalls:
    """Workspaces: files that outlive the jobs that wrote them, in versions."""

    _http: Http

    async def list_workspaces(self) -> WorkspaceList:
        """``workspaces``, each with ``workspace_id`` and what is known of it, and ``total``."""
        return await self._http.call("GET", "/mags-workspaces")

    async def get_workspace(self, workspace_id: str) -> Workspace:
        """One of them; ``recovery_point`` tells how much would be there if its node were lost now."""
        return await self._http.call("GET", path_of("workspaces", workspace_id))

    async def delete_workspace(self, workspace_id: str, *, force: bool = False) -> WorkspaceDeleted:
        """Deletes a workspace with all its versions.

        One that a live job uses is a MagsError with status 409, unless ``force``: then such jobs are stopped.
        """
        query = {"force": "1" if force else None}
        return await self._http.call("DELETE", path_of("workspaces", workspace_id), query=query)

    async def fork_workspace(self, workspace_id: str, new_id: str, *, version: Optional[int] = None) -> Workspace:
        """Makes ``new_id`` from a version of a workspace, the latest by default, in no time at any size."""
        body = {"workspace_id": new_id, "version": version}
        return await self._http.call("POST", path_of("workspaces", workspace_id, "/fork"), body=body)

    async def resize(
        self, workspace: str, disk_gb: float, *, timeout: float = 90.0, poll_interval: Optional[float] = None
    ) -> Workspace:
        """Grows the disk of a workspace, also while its machine is up; ``poll_interval`` is accepted and not needed."""
        path = path_of("workspaces", workspace, "/resize")
        return await self._http.call("POST", path, body={"disk_gb": disk_gb}, timeout=timeout)

    async def sync(self, request_id: str, *, timeout: float = 300.0) -> SyncResult:
        """Makes what a job has written to its workspace durable; returns when it is."""
        return await self._synced(path_of("jobs", request_id, "/sync"), timeout)

    async def sync_workspace(self, workspace_id: str, *, timeout: float = 300.0) -> SyncResult:
        """Makes everything written to a workspace durable; returns when it is."""
        return await self._synced(path_of("workspaces", workspace_id, "/sync"), timeout)

    async def list_versions(self, workspace_id: str) -> VersionList:
        """Its ``versions``, newest first."""
        return await self._http.call("GET", path_of("workspaces", workspace_id, "/versions"))

    async def delete_version(self, workspace_id: str, version: int) -> VersionDeleted:
        """Deletes a version; the latest, and one that a job is about to start from, is a MagsError with status 409."""
        return await self._http.call("DELETE", path_of("workspaces", workspace_id, f"/versions/{version}"))

    async def roll_back_workspace(self, workspace_id: str, version: int, *, force: bool = False) -> WorkspaceVersion:
        """Makes the content of ``version`` the latest again, as a new version."""
        path = path_of("workspaces", workspace_id, "/rollback")
        return await self._http.call("POST", path, body={"version": version, "force": force})

    async def verify_workspace(
        self, workspace_id: str, *, version: Optional[int] = None, timeout: float = 3600.0
    ) -> VersionVerified:
        """Restores a version into a scratch disk and checks every byte and the file system."""
        path = path_of("workspaces", workspace_id, "/verify")
        return await self._http.call("POST", path, body={"version": version}, timeout=timeout, repeatable=False)

    async def diff_workspace(
        self, workspace_id: str, *, version: Optional[int] = None, from_: Optional[str] = None, timeout: float = 600.0
    ) -> WorkspaceDiff:
        """Which files a version changed: beside what it was made from, or ``from_``, such as ``name@3``."""
        query = {"version": version, "from": from_}
        return await self._http.call("GET", path_of("workspaces", workspace_id, "/diff"), query=query, timeout=timeout)

    async def list_workspace_files(
        self, workspace_id: str, path: str, *, version: Optional[int] = None, timeout: float = 90.0
    ) -> DirectoryListing:
        """The ``entries`` of a directory, of the machine that is up, else of the latest version or ``version``."""
        query = {"path": path, "version": version}
        url = path_of("workspaces", workspace_id, "/files/list")
        return await self._http.call("GET", url, query=query, timeout=timeout)

    async def export_workspace(
        self, workspace_id: str, *, format: str = "tar", version: Optional[int] = None
    ) -> AsyncGenerator[bytes, None]:
        """Yields a version as it is downloaded: its files as ``tar``, the raw disk as ``ext4``, with its image as ``oci``.

        Raises MagsError when the download is cut.
        """
        query = f"/export?format={format}" + ("" if version is None else f"&version={version}")
        path = path_of("workspaces", workspace_id, query)
        async with closing(self._http.stream(path, {"Accept": "*/*"}, silence=600.0)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def import_workspace(
        self,
        workspace_id: str,
        content: Union[bytes, BinaryIO],
        *,
        path: str = "/",
        format: Optional[str] = None,
        disk_gb: Optional[float] = None,
        sha256: Optional[str] = None,
        timeout: float = 3600.0,
    ) -> None:
        """Unpacks a tar into a workspace, made where there is none yet; returns when that is durable.

        With ``format`` (``tar``, ``ext4``, ``oci``) the content is an export, of which a new workspace is made; ``disk_gb`` is the
        size of its disk, and content of another ``sha256`` is refused.
        """
        place = {"create": "1", "path": path} if format is None else {"format": format}
        query = {**place, "disk_gb": disk_gb, "sha256": sha256}
        url = path_of("workspaces", workspace_id, "/import")
        await self._http.call("POST", url, query=query, raw=whole(content), timeout=timeout, repeatable=False)

    async def read_workspace_file(self, workspace_id: str, path: str, *, version: Optional[int] = None) -> bytes:
        """A file, from the machine that is up, else from the latest version or ``version``."""
        query = urlencode({"path": path, **({} if version is None else {"version": version})})
        url = path_of("workspaces", workspace_id, f"/files?{query}")
        pieces: List[bytes] = []
        async with closing(self._http.stream(url, {"Accept": "*/*"}, SILENCE)) as chunks:
            async for chunk in chunks:
                pieces.append(chunk)
        return b"".join(pieces)

    async def write_workspace_file(
        self, workspace_id: str, path: str, content: Union[str, bytes, BinaryIO], *, mode: Optional[str] = None
    ) -> None:
        """Replaces a file, and makes missing directories above it; returns when that is durable."""
        query = {"path": path, "parents": "1", "mode": mode}
        url = path_of("workspaces", workspace_id, "/files")
        await self._http.call("PUT", url, query=query, raw=whole(content), timeout=SILENCE)

    async def _synced(self, path: str, timeout: float) -> SyncResult:
        """The server holds a sync for a while and then says that it goes on."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            answer = await self._http.call("POST", path, timeout=left + self._http.settings.timeout)
            if answer.get("synced") is not False:
                return answer
            if time.monotonic() >= deadline:
                hint = "It goes on; ask again, or look at the recovery point of the workspace."
                raise MagsError(f"not durable within {timeout:g} s", code="timeout", hint=hint)
