from __future__ import annotations

from types import TracebackType
from typing import Optional, Type

from ._config import settings
from ._http import Http
from ._images import ImageCalls
from ._machine_files import MachineFileCalls
from ._nodes import NodeCalls
from ._operate import OperateCalls
from ._resources import ResourceCalls
from ._session import SessionCalls
from ._transport import AsyncTransport, BlockingTransport, Transport, complete
from ._webhooks import WebhookCalls
from ._workspaces import WorkspaceCalls


class Calls(
    ImageCalls, SessionCalls, MachineFileCalls, WorkspaceCalls, NodeCalls, ResourceCalls, OperateCalls, WebhookCalls
):
    """Every call of the API as a coroutine, over either transport."""

    def __init__(
        self, transport: Transport, api_token: Optional[str], api_url: Optional[str], timeout: float
    ) -> None:
        self._http = Http(transport, settings(api_token, api_url, timeout))


class AsyncMags(Calls):
    """A client of one Mags server, for asyncio. All calls raise MagsError.

    ``api_token`` falls back to ``MAGS_API_TOKEN`` and ``MAGS_TOKEN``, ``api_url`` to ``MAGS_API_URL`` and
    ``http://127.0.0.1:7070``; ``timeout`` is for one call with its retries, in seconds.
    """

    def __init__(
        self, api_token: Optional[str] = None, api_url: Optional[str] = None, timeout: float = 30.0
    ) -> None:
        super().__init__(AsyncTransport(), api_token, api_url, timeout)

    async def close(self) -> None:
        await self._http.transport.close()

    async def __aenter__(self) -> AsyncMags:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()


class Blocking:
    """What ``Mags`` is built on: the same coroutines, run to their end by the calling thread."""

    def __init__(
        self, api_token: Optional[str] = None, api_url: Optional[str] = None, timeout: float = 30.0
    ) -> None:
        self._calls = Calls(BlockingTransport(), api_token, api_url, timeout)

    def close(self) -> None:
        complete(self._calls._http.transport.close())

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
