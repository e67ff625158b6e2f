from __future__ import annotations

import json
from typing import Any, AsyncGenerator, BinaryIO, Dict, List, Mapping, Optional, Union
from urllib.parse import urlencode

from ._http import Http, path_of
from ._sse import EventParser
from ._transport import closing
from .types import FileEntry

#: a connection this long without a byte is dead, in seconds
SILENCE = 300.0


def file_path(name_or_id: str, what: str, query: Mapping[str, Optional[str]]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return path_of("jobs", name_or_id, f"/files{what}?{urlencode(given)}")


def whole(content: Union[str, bytes, BinaryIO]) -> bytes:
    if isinstance(content, str):
        return content.encode()
    return content if isinstance(content, bytes) else content.read()


class MachineFileCalls:
    """Files inside of machines that are up. Relative paths begin at the home of ``user``, root by default."""

    _http: Http

    async def read_file(self, name_or_id: str, path: str, *, user: Optional[str] = None) -> bytes:
        """The content of a file."""
        pieces: List[bytes] = []
        async with closing(self._stream(name_or_id, "", path, user)) as chunks:
            async for chunk in chunks:
                pieces.append(chunk)
        return b"".join(pieces)

    async def write_file(
        self,
        name_or_id: str,
        path: str,
        content: Union[str, bytes, BinaryIO],
        *,
        mode: Optional[str] = None,
        parents: bool = False,
        user: Optional[str] = None,
    ) -> None:
        """Replaces a file in one step, or leaves it as it was. ``mode`` is octal, such as ``755``."""
        query = {"path": path, "mode": mode, "parents": "1" if parents else None, "user": user}
        await self._put(file_path(name_or_id, "", query), content)

    async def remove_file(
        self, name_or_id: str, path: str, *, recursive: bool = False, user: Optional[str] = None
    ) -> None:
        query = {"path": path, "recursive": "1" if recursive else None, "user": user}
        await self._http.call("DELETE", file_path(name_or_id, "", query))

    async def stat_file(self, name_or_id: str, path: str, *, user: Optional[str] = None) -> FileEntry:
        """What is known of a file, or of a symlink itself."""
        return await self._http.call("GET", file_path(name_or_id, "/stat", {"path": path, "user": user}))

    async def list_directory(self, name_or_id: str, path: str, *, user: Optional[str] = None) -> List[FileEntry]:
        answer = await self._http.call("GET", file_path(name_or_id, "/list", {"path": path, "user": user}))
        return answer["entries"]

    async def make_directory(
        self, name_or_id: str, path: str, *, parents: bool = False, user: Optional[str] = None
    ) -> None:
        query = {"path": path, "parents": "1" if parents else None, "user": user}
        await self._http.call("POST", file_path(name_or_id, "/mkdir", query))

    async def pack_directory(
        self, name_or_id: str, path: str, *, user: Optional[str] = None
    ) -> AsyncGenerator[bytes, None]:
        """Yields a directory as tar. Raises MagsError when the download is cut."""
        async with closing(self._stream(name_or_id, "/tar", path, user)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def unpack_directory(
        self, name_or_id: str, path: str, tar: Union[bytes, BinaryIO], *, user: Optional[str] = None
    ) -> None:
        """Unpacks a tar into a directory, which is made where it is missing."""
        await self._put(file_path(name_or_id, "/tar", {"path": path, "user": user}), tar)

    async def watch_directory(
        self, name_or_id: str, path: str, *, interval: Optional[float] = None, user: Optional[str] = None
    ) -> AsyncGenerator[Dict[str, Any], None]:
        """Yields what changes in a directory, at any depth: ``type`` is ``created``, ``modified`` or ``deleted``.

        The first item is of type ``ready``: from then on nothing is missed but what comes and goes between two looks at
        the tree, every ``interval`` seconds (1 by default). ``path`` of an item is below the directory.
        """
        seconds = None if interval is None else str(interval)
        place = file_path(name_or_id, "/watch", {"path": path, "user": user, "interval": seconds})
        parser = EventParser()
        async with closing(self._http.stream(place, {}, SILENCE)) as chunks:
            async for chunk in chunks:
                for event in parser.feed(chunk):
                    change = json.loads(event.data) if event.event == "change" else {}
                    if event.event in ("ready", "change"):
                        yield {"type": change.get("change", "ready"), "path": change.get("path", "")}

    def _stream(self, name_or_id: str, what: str, path: str, user: Optional[str]) -> AsyncGenerator[bytes, None]:
        place = file_path(name_or_id, what, {"path": path, "user": user})
        return self._http.stream(place, {"Accept": "*/*"}, SILENCE)

    async def _put(self, path: str, content: Union[str, bytes, BinaryIO]) -> Any:
        return await self._http.call("PUT", path, raw=whole(content), timeout=SILENCE)
