from __future__ import annotations

import asyncio
import copy
import json
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, List, Optional

import pytest

from mags import AsyncMags, Mags

TOKEN = "secret"


class OnLoop:
    """AsyncMags with the methods of Mags, so that each test speaks to both."""

    def __init__(self, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.mags = AsyncMags(**options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.mags, name)

        def call(*args: Any, **options: Any) -> Any:
            answer = method(*args, **options)
            if hasattr(answer, "__anext__"):
                return self.iterate(answer)
            return self.loop.run_until_complete(answer)

        return call

    def iterate(self, items: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self.loop.run_until_complete(items.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            self.loop.run_until_complete(items.aclose())

    def close(self) -> None:
        self.loop.run_until_complete(self.mags.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_http", "_follow"):
        monkeypatch.setattr(f"mags.{module}.FIRST_PAUSE", 0.02)


@pytest.fixture(params=["Mags", "AsyncMags"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes clients of the one kind, then of the other."""
    clients: List[Any] = []

    def make(api_url: Optional[str] = None, api_token: Optional[str] = TOKEN, timeout: float = 5.0) -> Any:
        kind = Mags if request.param == "Mags" else OnLoop
        clients.append(kind(api_token=api_token, api_url=api_url, timeout=timeout))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


class Request(BaseHTTPRequestHandler):
    """One request to a Wire, with what a test may answer."""

    protocol_version = "HTTP/1.1"
    wire: Wire
    line: str
    body: bytes

    def handle_any(self) -> None:
        self.line = f"{self.command} {self.path}"
        self.body = self.read_body()
        self.wire.seen.append(copy.copy(self))  # the connection may bring another request
        self.wire.answer(self)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any

    def read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def json(self, status: int, body: Any, headers: Optional[Dict[str, str]] = None) -> None:
        self.raw(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})

    def raw(self, status: int, content: bytes, headers: Optional[Dict[str, str]] = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, code: str, headers: Optional[Dict[str, str]] = None) -> None:
        self.json(status, {"message": code, "error": {"code": code, "message": code, "hint": "wait"}}, headers)

    def open_stream(self, text: str = "retry: 500\n\n") -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.write(text)
        self.close_connection = True

    def write(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def cut(self) -> None:
        """Ends the connection as a crash does it."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that hung up, as it should


class Wire:
    """A real HTTP server that answers as the test says."""

    def __init__(self, answer: Callable[[Request], None], port: int = 0) -> None:
        self.answer = answer
        self.seen: List[Request] = []
        handler = type("Handler", (Request,), {"wire": self})
        self.server = Server(("127.0.0.1", port), handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def lines(self) -> List[str]:
        return [request.line for request in self.seen]

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture()
def live(connect: Callable[..., Any]) -> Any:
    """A client of the server that the tests were started with."""
    if "MAGS_API_URL" not in os.environ:
        pytest.fail("MAGS_API_URL and MAGS_API_TOKEN must name a running server; test/e2e/python.test.ts starts one")
    return connect(api_token=None, timeout=30.0)


def log_entry(number: int, **changes: Any) -> Dict[str, Any]:
    """The numberth line of a log on stdout, each ten bytes long, as the wire has it."""
    return {
        "timestamp": "2026-01-02T03:04:05.000Z",
        "level": "info",
        "source": "stdout",
        "message": f"line {number:04}",
        "offset": number * 10,
        "bytes": 10,
        "newline": True,
        **changes,
    }


def entry_event(number: int) -> str:
    return f"event: entry\nid: {(number + 1) * 10}.0.0\ndata: {json.dumps(log_entry(number))}\n\n"


END_EVENT = 'event: end\ndata: {"status": "completed", "exit_code": 0}\n\n'
