from __future__ import annotations

from typing import AsyncGenerator, Optional, Sequence
from urllib.parse import quote

from ._http import Http
from ._transport import closing
from .types import FsckReport, JoinTokenMade, Node, NodeList, NodeRemoved


class NodeCalls:
    """Machines that run sandboxes; for who runs the installation."""

    _http: Http

    async def list_nodes(self) -> NodeList:
        """``nodes``, each with its ``state`` and what it has to do."""
        return await self._http.call("GET", "/nodes")

    async def drain_node(self, name: str) -> Node:
        """Gives a node no new work; it has finished when its ``state`` is ``drained``."""
        return await self._http.call("POST", f"/nodes/{quote(name, safe='')}/drain")

    async def undrain_node(self, name: str) -> Node:
        """Puts a node back into service."""
        return await self._http.call("POST", f"/nodes/{quote(name, safe='')}/undrain")

    async def create_join_token(
        self,
        *,
        node: Optional[str] = None,
        roles: Optional[Sequence[str]] = None,
        expires_in_minutes: Optional[float] = None,
    ) -> JoinTokenMade:
        """Makes a ``join_token``: one machine becomes a node with it. It is shown this once."""
        body = {"node": node, "roles": roles, "expires_in_minutes": expires_in_minutes}
        return await self._http.call("POST", "/nodes/join-tokens", body=body)

    async def remove_node(self, name: str, *, force: bool = False) -> NodeRemoved:
        """What it was given when it joined opens nothing any more; ``force`` also for one that is not empty."""
        query = {"force": "1" if force else None}
        return await self._http.call("DELETE", f"/nodes/{quote(name, safe='')}", query=query)

    async def backup(self) -> AsyncGenerator[bytes, None]:
        """Yields a backup of the database, a tar compressed with zstd. Raises MagsError when the download is cut."""
        async with closing(self._http.stream("/backup", {"Accept": "*/*"}, silence=600.0)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def fsck(self, *, repair: bool = False, timeout: float = 3600.0) -> FsckReport:
        """Compares the ledger with the machines and the object store: ``differences`` that two looks have both seen.

        ``repair`` takes away what belongs to nothing that lives, and mends what can be mended safely.
        """
        method, path = ("POST", "/mags-fsck/repair") if repair else ("GET", "/mags-fsck")
        return await self._http.call(method, path, timeout=timeout, repeatable=False)
