from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any, AsyncGenerator, Dict, Iterable, Mapping, Optional

from ._errors import MagsError
from ._http import FIRST_PAUSE, Http, path_of, pause_before
from ._sse import Event, EventParser
from ._transport import closing

LONGEST_PAUSE = 2.0
#: after this long without a byte in spite of reconnecting, following is given up, in seconds
GIVE_UP = 60.0
#: a connection this long without a byte is dead: the server sends a heartbeat every 10 s
SILENCE = 30.0


@dataclass
class State:
    cursor: Optional[str]
    #: when the last byte came, heartbeats included: a quiet job is not a dead server
    alive_at: float
    #: connections in a row that brought no event
    failures: int = 0


async def follow(
    http: Http, job: str, after: Optional[str], give_up: float = GIVE_UP, silence: float = SILENCE
) -> AsyncGenerator[Dict[str, Any], None]:
    """Yields a log as it grows and, last, its end.

    A connection that is cut or falls silent is taken up at the exact byte, also across restarts of the server.
    Raises MagsError when the server refuses or stays away for a minute.
    """
    state = State(after, time.monotonic())
    while True:
        try:
            async with closing(connection(http, job, state, silence)) as items:
                async for item in items:
                    yield item
                    if item["type"] == "end":
                        return
            state.failures += 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(state.failures, 20))
        except MagsError as failure:
            state.failures += 1
            again = MagsError("", code="unreachable") if failure.code == "timeout" else failure
            wait = pause_before(again, state.failures, LONGEST_PAUSE)
            if wait is None or time.monotonic() - state.alive_at > give_up:
                raise
            pause = wait
        await http.transport.sleep(pause)


async def connection(http: Http, job: str, state: State, silence: float) -> AsyncGenerator[Dict[str, Any], None]:
    """The items of one connection, until the server closes it."""
    headers = {"Last-Event-ID": state.cursor} if state.cursor else {}
    parser = EventParser()
    path = path_of("jobs", job, "/logs?follow=1")
    async with closing(http.stream(path, headers, silence)) as chunks:
        async for chunk in chunks:
            state.alive_at = time.monotonic()
            for event in parser.feed(chunk):
                if event.event in ("entry", "end"):
                    state.failures = 0
                    yield item_of(event, state)
                    # The consumer may take its time with an item; only waiting for the server counts as silence.
                    state.alive_at = time.monotonic()


def item_of(event: Event, state: State) -> Dict[str, Any]:
    try:
        data = json.loads(event.data)
    except ValueError as cause:
        raise MagsError(f"the log stream holds no JSON: {cause}", code="malformed_answer") from cause
    if event.event == "end":
        return {"type": "end", **data}
    state.cursor = event.id or state.cursor
    return {"type": "entry", "cursor": event.id or "", **data}


def entry_bytes(entry: Mapping[str, Any]) -> bytes:
    """The exact bytes of a log entry, with its newline."""
    encoded = entry.get("encoding") == "base64"
    text = base64.b64decode(entry["message"]) if encoded else str(entry["message"]).encode()
    return text + b"\n" if entry["newline"] else text


def text_of(entries: Iterable[Mapping[str, Any]], source: str) -> str:
    """What a stream held as text; a character whose bytes are in two entries is put together."""
    return b"".join(entry_bytes(entry) for entry in entries if entry["source"] == source).decode(errors="replace")
