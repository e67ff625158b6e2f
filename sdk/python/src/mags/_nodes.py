from __future__ import annotations

from urllib.parse import quote

from ._http import Http
from .types import Node, NodeList


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
