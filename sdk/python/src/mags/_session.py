"""A command in a machine that one talks to, over a WebSocket."""

from __future__ import annotations

import base64
import os
from collections import deque
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Deque, Dict, Iterator, Mapping, Optional, Sequence, Tuple, Type, Union

import httpcore
import httpx
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Message, Ping
from wsproto.utilities import LocalProtocolError

from ._errors import MagsError
from ._frames import FrameReader, encode_frame
from ._http import Http, path_of
from ._results import SessionEnd
from ._transport import Transport, complete

#: what of the output may be under way without having been read, in bytes
OUTPUT_WINDOW = 1024 * 1024
#: what of the input may be under way at first, in bytes
STDIN_WINDOW = 256 * 1024
READ_BYTES = 64 * 1024
CUT = (httpcore.NetworkError, httpcore.ProtocolError, OSError)

#: ``("stdout" or "stderr", what it said)``
Output = Tuple[str, bytes]


class SessionCalls:
    _http: Http

    async def session(
        self,
        name_or_id: str,
        command: Union[str, Sequence[str], None] = None,
        *,
        env: Optional[Mapping[str, str]] = None,
        cwd: Optional[str] = None,
        user: Optional[str] = None,
        timeout: Optional[float] = None,
        terminal: Optional[Tuple[int, int]] = None,
        term: str = "xterm",
    ) -> AsyncSession:
        """A command to talk to in a machine that is up, or is woken for it; a login shell where none is given.

        A string is run by ``/bin/sh``, a list is a program and its arguments. ``terminal`` is the columns and rows of a
        terminal for it; its outputs are one there. It is killed after ``timeout`` seconds. Leave it with ``close`` or use
        it in a ``with`` block: the command gets SIGHUP when its caller leaves.
        """
        argv = ["/bin/sh", "-l"] if command is None else command
        request: Dict[str, Any] = {
            "argv": ["/bin/sh", "-c", argv] if isinstance(argv, str) else list(argv),
            "env": dict(env or {}),
            "cwd": cwd,
            "user": user,
            "timeout": timeout,
            "tty": {"cols": terminal[0], "rows": terminal[1], "term": term} if terminal else None,
            "window": OUTPUT_WINDOW,
        }
        session = AsyncSession(self._http.transport, await self._http.upgrade(terminal_of(name_or_id), websocket()))
        await session._send("open", {name: value for name, value in request.items() if value is not None})
        return session


def terminal_of(name_or_id: str) -> str:
    return path_of("jobs", name_or_id, "/terminal")


def websocket() -> Dict[str, str]:
    key = base64.b64encode(os.urandom(16)).decode()
    return {"Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}


class AsyncSession:
    """A command that runs in a machine: write to it, and read what it says. All calls raise MagsError."""

    def __init__(self, transport: Transport, response: httpx.Response) -> None:
        self._transport = transport
        self._response = response
        self._socket = Connection(ConnectionType.CLIENT)
        self._frames = FrameReader()
        self._unread: Deque[Output] = deque()
        self._credit = STDIN_WINDOW
        self._exit: Optional[SessionEnd] = None
        self._closed = False

    async def write(self, data: bytes) -> None:
        """Gives the command input; returns when more may follow. What it says meanwhile is kept to be read."""
        at = 0
        while at < len(data) and self._exit is None:
            if self._credit == 0:
                await self._receive(None)
                continue
            piece = data[at : at + self._credit]
            at += len(piece)
            self._credit -= len(piece)
            await self._send("stdin", piece)

    async def end(self) -> None:
        """The end of the input."""
        await self._send("stdin_end", {})

    async def resize(self, columns: int, rows: int) -> None:
        await self._send("resize", {"cols": columns, "rows": rows})

    async def kill(self, signal: str) -> None:
        """Sends a signal, such as ``SIGINT``, to all of its processes."""
        await self._send("signal", {"signal": signal})

    async def read(self, timeout: Optional[float] = None) -> Optional[Output]:
        """What it said next and where, or None after its end. Raises MagsError ``timeout`` when nothing came for so long."""
        while not self._unread:
            if self._exit is not None:
                return None
            await self._receive(timeout)
        source, data = self._unread.popleft()
        if not self._closed:
            await self._send("credit", {"bytes": len(data)})
        return source, data

    async def exit(self) -> SessionEnd:
        """How it ended. Waits for that; output that was not read until then is lost."""
        while await self.read() is not None:
            pass
        assert self._exit is not None
        return self._exit

    async def close(self) -> None:
        """Leaves; a command that has not ended gets SIGHUP."""
        if not self._closed:
            self._closed = True
            await self._transport.leave(self._response)

    def __aiter__(self) -> AsyncIterator[Output]:
        return self

    async def __anext__(self) -> Output:
        output = await self.read()
        if output is None:
            raise StopAsyncIteration
        return output

    async def __aenter__(self) -> AsyncSession:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.close()

    async def _send(self, kind: str, value: Any) -> None:
        self._must_be_open()
        # What has ended takes nothing any more; how it ended is there to be read.
        if self._exit is not None:
            return
        try:
            data = self._socket.send(BytesMessage(data=encode_frame(kind, value)))
        except LocalProtocolError as cause:
            raise cut() from cause
        await self._put(data)

    async def _put(self, data: bytes) -> None:
        try:
            await self._transport.write(self._response, data)
        except CUT as cause:
            # Its last words may have come before the connection went.
            if self._exit is None:
                raise cut() from cause

    async def _receive(self, timeout: Optional[float]) -> None:
        self._must_be_open()
        try:
            data = await self._transport.read(self._response, READ_BYTES, timeout)
        except httpcore.TimeoutException as cause:
            raise MagsError(f"the command said nothing for {timeout:g} s", code="timeout") from cause
        except CUT as cause:
            raise cut() from cause
        self._socket.receive_data(data or None)
        for event in self._socket.events():
            if isinstance(event, Ping):
                await self._put(self._socket.send(event.response()))
            elif isinstance(event, Message):
                for kind, value in self._frames.read(bytes(event.data)):
                    self._take(kind, value)
            elif isinstance(event, CloseConnection) and self._exit is None:
                raise cut(event.reason)

    def _take(self, kind: str, value: Any) -> None:
        if kind == "exit":
            self._exit = value
        elif kind == "credit":
            self._credit += value["bytes"]
        elif kind in ("stdout", "stderr") and value:
            self._unread.append((kind, value))

    def _must_be_open(self) -> None:
        if self._closed:
            raise MagsError("the session was left", code="aborted")


def cut(reason: Optional[str] = None) -> MagsError:
    return MagsError(f"the connection to the machine was cut{f': {reason}' if reason else ''}", code="unreachable")


class Session:
    """A command that runs in a machine: write to it, and read what it says. All calls block and raise MagsError."""

    def __init__(self, calls: AsyncSession) -> None:
        self._calls = calls

    def write(self, data: bytes) -> None:
        """Gives the command input; returns when more may follow. What it says meanwhile is kept to be read."""
        complete(self._calls.write(data))

    def end(self) -> None:
        """The end of the input."""
        complete(self._calls.end())

    def resize(self, columns: int, rows: int) -> None:
        complete(self._calls.resize(columns, rows))

    def kill(self, signal: str) -> None:
        """Sends a signal, such as ``SIGINT``, to all of its processes."""
        complete(self._calls.kill(signal))

    def read(self, timeout: Optional[float] = None) -> Optional[Output]:
        """What it said next and where, or None after its end. Raises MagsError ``timeout`` when nothing came for so long."""
        return complete(self._calls.read(timeout))

    def exit(self) -> SessionEnd:
        """How it ended. Waits for that; output that was not read until then is lost."""
        return complete(self._calls.exit())

    def close(self) -> None:
        """Leaves; a command that has not ended gets SIGHUP."""
        complete(self._calls.close())

    def __iter__(self) -> Iterator[Output]:
        return iter(self.read, None)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


def begin(opening: Awaitable[AsyncSession]) -> Session:
    """The same session for a thread that blocks."""
    return Session(complete(opening))
