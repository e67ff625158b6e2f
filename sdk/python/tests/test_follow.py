"""Following a log over a bad line."""

import random
import threading
import time
from typing import Any, Callable, Dict, List

import pytest
from conftest import END_EVENT, Request, Wire, entry_event

import mags._follow as follow_module
from mags import MagsError
from mags._sse import EventParser

Connect = Callable[..., Any]


def resumes_at(request: Request) -> int:
    """First entry that the request has not got yet."""
    return int(request.headers.get("Last-Event-ID", "0").split(".")[0]) // 10


def offsets(items: List[Dict[str, Any]]) -> List[int]:
    return [item["offset"] for item in items if item["type"] == "entry"]


@pytest.mark.parametrize("seed", range(8))
def test_connections_that_are_cut_at_any_byte_lose_no_entry_and_give_none_twice(connect: Connect, seed: int) -> None:
    lengths = random.Random(seed).choices(range(1, 900), k=4)

    def answer(request: Request) -> None:
        rest = "".join(entry_event(number) for number in range(resumes_at(request), 8)) + END_EVENT
        request.open_stream()
        request.write(rest[: lengths.pop()] if lengths else rest)
        request.cut()

    with Wire(answer) as wire:
        items = list(connect(wire.url).follow_logs("job"))
        assert offsets(items) == [0, 10, 20, 30, 40, 50, 60, 70]
        assert items[-1] == {"type": "end", "status": "completed", "exit_code": 0}


def test_a_server_that_comes_back_on_its_port_is_taken_up_where_it_stopped(connect: Connect) -> None:
    def first(request: Request) -> None:
        request.open_stream()
        request.write(entry_event(0) + entry_event(1))
        request.cut()

    def second(request: Request) -> None:
        request.open_stream()
        request.write(entry_event(resumes_at(request)) + END_EVENT)

    with Wire(first) as wire:
        items = connect(wire.url).follow_logs("job")
        assert offsets([next(items), next(items)]) == [0, 10]
    timer = threading.Timer(0.5, lambda: again.append(Wire(second, wire.port)))
    again: List[Wire] = []
    timer.start()
    assert offsets(list(items)) == [20]
    assert again[0].seen[0].headers["Last-Event-ID"] == "20.0.0"
    again[0].__exit__()


def test_a_connection_that_falls_silent_is_left_and_one_with_heartbeats_is_kept(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_module.follow, "__defaults__", (60.0, 0.5))
    leave = threading.Event()

    def answer(request: Request) -> None:
        request.open_stream()
        if resumes_at(request) == 0:
            request.write(entry_event(0))
            leave.wait(10)  # and nothing more: a half-open connection
            return
        for _ in range(8):
            request.write(": still here\n\n")
            time.sleep(0.1)
        request.write(entry_event(1) + END_EVENT)

    with Wire(answer) as wire:
        assert offsets(list(connect(wire.url).follow_logs("job"))) == [0, 10]
        assert len(wire.seen) == 2
        leave.set()


def test_refusals_that_last_are_raised_at_once_and_passing_ones_are_waited_for(connect: Connect) -> None:
    def answer(request: Request) -> None:
        if "unknown" in request.path:
            request.refuse(404, "not_found")
        elif len(wire.seen) == 2:
            request.refuse(503, "unavailable")
        elif len(wire.seen) == 3:
            request.refuse(429, "rate_limited", {"Retry-After": "0"})
        else:
            request.open_stream(END_EVENT)

    with Wire(answer) as wire:
        mags = connect(wire.url)
        with pytest.raises(MagsError) as caught:
            list(mags.follow_logs("unknown"))
        assert caught.value.code == "not_found"
        assert [item["type"] for item in mags.follow_logs("job", after="30.0.0")] == ["end"]
        assert wire.seen[-1].headers["Last-Event-ID"] == "30.0.0"


def test_a_server_that_stays_away_is_given_up(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow_module.follow, "__defaults__", (0.5, 30.0))
    with Wire(Request.cut) as wire:
        pass
    with pytest.raises(MagsError) as caught:
        list(connect(wire.url).follow_logs("job"))
    assert caught.value.code == "unreachable"


def test_leaving_early_closes_the_connection(connect: Connect) -> None:
    hung_up = threading.Event()

    def answer(request: Request) -> None:
        request.open_stream(entry_event(0))
        try:
            while not hung_up.wait(0.05):
                request.write(": still here\n\n")
        except OSError:
            hung_up.set()

    with Wire(answer) as wire:
        items = connect(wire.url).follow_logs("job")
        assert next(items)["offset"] == 0
        items.close()
        assert hung_up.wait(10)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_are_the_same_however_their_stream_is_cut(size: int) -> None:
    stream = b": hi\r\n\r\nevent: a\r\nid: 1\r\ndata: x\r\ndata:  y\xc3\xa9\r\n\r\nid: b\0\rdata: z\r\rdata: open\n"

    parser = EventParser()
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    events = [tuple(event) for chunk in chunks for event in parser.feed(chunk)]
    assert events == [("a", "1", "x\n yé"), ("message", "1", "z")]
