"""What goes over the wire, against a real HTTP server that answers as each test says."""

import json
import threading
import time
from typing import Any, Callable, Dict

import pytest
from conftest import Request, Wire, log_entry

from mags import Mags, MagsError

Connect = Callable[..., Any]
ACCEPTED = {"request_id": "5d3c", "name": "brave-otter", "status": "accepted"}


def test_a_script_is_sent_in_the_wires_spelling_with_a_token_and_an_idempotency_key(connect: Connect) -> None:
    with Wire(lambda request: request.json(202, ACCEPTED)) as wire:
        options: Dict[str, Any] = {
            "workspace_id": "ws", "persistent": True, "no_sleep": True, "environment": {"A": "b"}, "timeout": 7,
            "file_ids": ["f1"], "memory_mb": 64,
        }
        assert connect(wire.url + "/").run("true", **options) == ACCEPTED
        [request] = wire.seen
        assert request.line == "POST /api/v1/mags-jobs"
        assert request.headers["Authorization"] == "Bearer secret"
        assert request.headers["Content-Type"] == "application/json"
        assert len(request.headers["Idempotency-Key"]) == 36
        assert json.loads(request.body) == {"script": "true", "type": "inline", **options}


def test_a_post_that_is_tried_again_carries_the_same_key(connect: Connect) -> None:
    def answer(request: Request) -> None:
        turn = len(wire.seen)
        if turn == 1:
            request.cut()
        elif turn == 2:
            request.refuse(503, "unavailable")
        elif turn == 3:  # the headers arrive, the answer does not
            request.send_response(202)
            request.send_header("Content-Length", "100")
            request.end_headers()
            request.write("{")
            request.cut()
        else:
            request.json(202, ACCEPTED)

    with Wire(answer) as wire:
        connect(wire.url).run("true")
        assert len(wire.seen) == 4
        assert len({request.headers["Idempotency-Key"] for request in wire.seen}) == 1


def test_a_command_is_sent_once_even_when_its_answer_is_cut(connect: Connect) -> None:
    with Wire(Request.cut) as wire:
        with pytest.raises(MagsError) as caught:
            connect(wire.url).exec("job", "rm -r x")
        assert caught.value.code == "unreachable"
        assert wire.lines() == ["POST /api/v1/mags-jobs/job/exec"]


def test_a_command_is_a_text_or_a_list_and_its_bytes_come_back(connect: Connect) -> None:
    answer = {
        "exit_code": 0, "signal": None, "timed_out": False, "duration_ms": 3, "stdout": "/w==", "stdout_encoding": "base64",
        "stderr": "é", "dropped": {"stdout": 0, "stderr": 0},
    }
    with Wire(lambda request: request.json(200, answer)) as wire:
        mags = connect(wire.url)
        done = mags.exec("box", "cat", stdin=b"\xff", timeout=5)
        assert (done["stdout"], done["stdout_bytes"], done["output"]) == ("\ufffd", b"\xff", "\ufffd")
        assert (done["stderr"], done["stderr_bytes"]) == ("é", "é".encode())
        mags.exec("box", ["ls", "-l"], cwd="/", env={"A": "b"}, user="nobody", stdin="x")
        assert [json.loads(request.body) for request in wire.seen] == [
            {"timeout": 5, "command": "cat", "stdin": "/w==", "stdin_encoding": "base64"},
            {"timeout": 30.0, "env": {"A": "b"}, "cwd": "/", "user": "nobody", "argv": ["ls", "-l"], "stdin": "x"},
        ]


def test_a_sync_is_asked_for_until_it_is_done(connect: Connect) -> None:
    with Wire(lambda request: request.json(200, {"synced": "never" not in request.path and len(wire.seen) > 2})) as wire:
        assert connect(wire.url).sync("job")["synced"] is True
        assert wire.lines() == ["POST /api/v1/mags-jobs/job/sync"] * 3
        with pytest.raises(MagsError, match="not durable within 0.1 s"):
            connect(wire.url).sync_workspace("never", timeout=0.1)


def test_a_download_comes_as_it_is_sent_and_a_cut_one_is_an_error(connect: Connect) -> None:
    def answer(request: Request) -> None:
        if "unknown" in request.path:
            return request.refuse(404, "not_found")
        request.send_response(200)
        request.send_header("Content-Length", "200000")
        request.end_headers()
        request.write("x" * 100_000)
        if "cut" in request.path:
            return request.cut()
        request.write("y" * 100_000)

    with Wire(answer) as wire:
        mags = connect(wire.url)
        whole = b"".join(mags.export_workspace("ws", format="ext4", version=3))
        assert whole == b"x" * 100_000 + b"y" * 100_000
        assert wire.lines() == ["GET /api/v1/mags-workspaces/ws/export?format=ext4&version=3"]
        for workspace, code in (("cut", "unreachable"), ("unknown", "not_found")):
            with pytest.raises(MagsError) as caught:
                list(mags.export_workspace(workspace))
            assert caught.value.code == code


def test_retry_after_is_waited_for_but_not_where_it_is_longer_than_the_call_may_take(connect: Connect) -> None:
    def answer(request: Request) -> None:
        if len(wire.seen) == 1 or seconds == "60":
            request.refuse(429, "rate_limited", {"Retry-After": seconds})
        else:
            request.json(200, {"jobs": []})

    with Wire(answer) as wire:
        seconds = "1"
        started = time.monotonic()
        connect(wire.url).list_jobs()
        assert time.monotonic() - started >= 1
        assert len(wire.seen) == 2
        seconds = "60"
        with pytest.raises(MagsError) as caught:
            connect(wire.url).list_jobs()
        assert (caught.value.status_code, caught.value.retry_after) == (429, 60)
        assert len(wire.seen) == 3


def test_a_server_that_keeps_failing_is_given_up(connect: Connect) -> None:
    with Wire(lambda request: request.refuse(502, "unavailable")) as wire:
        with pytest.raises(MagsError) as caught:
            connect(wire.url, timeout=30).list_jobs()
        assert caught.value.status_code == 502
        assert len(wire.seen) == 5


def test_an_error_has_what_the_server_said(connect: Connect) -> None:
    error = {"code": "invalid_request", "hint": "Correct it.", "field": "timeout", "request_id": "r1"}
    with Wire(lambda request: request.json(400, {"message": "timeout: too small", "error": error})) as wire:
        with pytest.raises(MagsError) as caught:
            connect(wire.url).run("true", timeout=-1)
        raised = caught.value
        assert str(raised) == "timeout: too small. Correct it."
        assert (raised.message, raised.status_code, raised.code) == ("timeout: too small", 400, "invalid_request")
        assert (raised.field, raised.hint, raised.request_id) == ("timeout", "Correct it.", "r1")
        assert len(wire.seen) == 1


@pytest.mark.parametrize("body", [b"null", b"[]", b'"no"', b'{"error": "no"}', b'{"message": 5}', b"\xff"])
def test_an_error_whose_body_is_not_as_described_is_still_an_error(connect: Connect, body: bytes) -> None:
    with Wire(lambda request: request.raw(404, body)) as wire:
        with pytest.raises(MagsError) as caught:
            connect(wire.url).status("job")
        assert caught.value.status_code == 404


def test_answers_of_something_that_is_no_mags_server_are_shown(connect: Connect) -> None:
    with Wire(lambda request: request.raw(status, b"<h1>proxy</h1>")) as wire:
        for status in (404, 301):
            with pytest.raises(MagsError, match=f"{status}: <h1>proxy</h1>") as caught:
                connect(wire.url).list_jobs()
            assert caught.value.status_code == status
        status = 200
        with pytest.raises(MagsError, match="is no JSON of this API: <h1>proxy</h1>") as caught:
            connect(wire.url).list_jobs()
        assert caught.value.code == "malformed_answer"


def test_an_empty_answer_is_an_empty_dict(connect: Connect) -> None:
    with Wire(lambda request: request.raw(204, b"")) as wire:
        assert connect(wire.url).delete_workspace("a/b c") == {}
        assert wire.lines() == ["DELETE /api/v1/mags-workspaces/a%2Fb%20c"]


def test_a_server_that_is_down_or_unknown_is_named(connect: Connect) -> None:
    with Wire(Request.cut) as wire:
        pass
    for url in (wire.url, "http://no-such-host.invalid:7070"):
        with pytest.raises(MagsError, match="Is it running") as caught:
            connect(url, timeout=1).list_jobs()
        assert caught.value.code == "unreachable"
        assert caught.value.status_code is None
        assert url in caught.value.message
        assert caught.value.__cause__ is not None


def test_tls_to_a_server_that_has_none_is_said_so(connect: Connect) -> None:
    with Wire(Request.cut) as wire:
        with pytest.raises(MagsError, match="no secure connection") as caught:
            connect(wire.url.replace("http:", "https:")).list_jobs()
        assert caught.value.code == "tls"


def test_a_call_ends_at_its_timeout_whether_nothing_comes_or_too_slowly(connect: Connect) -> None:
    leave = threading.Event()

    def answer(request: Request) -> None:
        if "silent" in request.path:
            leave.wait(10)
            return
        request.send_response(200)
        request.send_header("Content-Length", "1000")
        request.end_headers()
        while not leave.wait(0.05):
            request.write(" ")

    with Wire(answer) as wire:
        for job in ("silent", "slow"):
            with pytest.raises(MagsError, match="within 0.3 s") as caught:
                connect(wire.url, timeout=0.3).status(job)
            assert caught.value.code == "timeout"
        leave.set()
        assert len(wire.seen) == 2


def test_arguments_that_cannot_be_sent_are_refused(connect: Connect) -> None:
    for environment in ({"A": object()}, {"A": float("nan")}):
        with pytest.raises(MagsError, match="cannot be sent as JSON"):
            connect("http://127.0.0.1:1").run("true", environment=environment)


def test_a_client_without_token_or_with_a_wrong_url_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAGS_API_TOKEN", "MAGS_TOKEN", "MAGS_API_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MagsError, match="Set MAGS_API_TOKEN or pass api_token"):
        Mags()
    with pytest.raises(MagsError, match="not of the form"):
        Mags(api_token="t", api_url="localhost:7070")
    with pytest.raises(MagsError, match="positive number"):
        Mags(api_token="t", timeout=0)


def test_the_environment_names_server_and_token_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    with Wire(lambda request: request.json(200, {"jobs": []})) as wire:
        monkeypatch.setenv("MAGS_API_URL", wire.url)
        monkeypatch.delenv("MAGS_API_TOKEN", raising=False)
        monkeypatch.setenv("MAGS_TOKEN", "second")
        with Mags() as mags:
            mags.list_jobs()
        monkeypatch.setenv("MAGS_API_TOKEN", "first")
        for mags in (Mags(), Mags(api_token="given")):
            mags.list_jobs()
            mags.close()
        tokens = [request.headers["Authorization"] for request in wire.seen]
        assert tokens == ["Bearer second", "Bearer first", "Bearer given"]


def test_waiting_is_held_by_the_server_and_ends_with_the_script_or_at_the_timeout(connect: Connect) -> None:
    def answer(request: Request) -> None:
        time.sleep(0.02)
        ended = "/short/" in request.path and len(wire.seen) == 3
        request.json(200, {"status": "running", "persistent": True, "exit_code": 4 if ended else None})

    with Wire(answer) as wire:
        # A persistent job: its status stays running after its script has ended.
        assert connect(wire.url).wait("short") ["exit_code"] == 4
        assert wire.lines() == ["GET /api/v1/mags-jobs/short/status?wait=25.000"] * 3
        with pytest.raises(MagsError, match="job long has not ended within 0.2 s") as caught:
            connect(wire.url).wait("long", timeout=0.2)
        assert (caught.value.code, caught.value.job_id) == ("timeout", "long")


def test_waiting_goes_on_when_its_connection_is_dropped(connect: Connect) -> None:
    def answer(request: Request) -> None:
        if len(wire.seen) <= 6:
            request.cut()
        else:
            request.json(200, {"status": "completed", "exit_code": 0})

    with Wire(answer) as wire:
        assert connect(wire.url).wait("job")["status"] == "completed"


def test_run_and_wait_puts_pages_together_and_characters_that_were_cut_in_two(connect: Connect) -> None:
    half = {"encoding": "base64", "newline": False}
    pages = {
        "": {"logs": [log_entry(0, message="YcM=", **half)], "end": None, "next": "2.0.0"},
        "?after=2.0.0": {
            "logs": [log_entry(0, message="qQ==", **half), log_entry(7, source="stderr")], "end": None, "next": None,
        },
    }

    def answer(request: Request) -> None:
        if request.command == "POST":
            request.json(202, ACCEPTED)
        elif "/status" in request.path:
            request.json(200, {"status": "completed", "exit_code": 3, "script_duration_ms": 5, "duration_ms": 9})
        else:
            request.json(200, pages[request.path.partition("/logs")[2]])

    with Wire(answer) as wire:
        result = connect(wire.url).run_and_wait("true", timeout=5, poll_interval=0.5, script_timeout=9, name="n")
        assert (result["status"], result["exit_code"], result["duration_ms"]) == ("completed", 3, 5)
        assert (result["stdout"], result["stderr"]) == ("aé", "line 0007\n")
        assert len(result["logs"]) == 3
        assert json.loads(wire.seen[0].body) == {"script": "true", "type": "inline", "timeout": 9, "name": "n"}


def test_a_job_is_found_by_what_lives_before_what_has_ended(connect: Connect) -> None:
    ended = {"request_id": "1", "name": "other", "workspace_id": "ws", "status": "completed"}

    def answer(request: Request) -> None:
        if "/status" in request.path:
            if "/live/" in request.path:
                return request.json(200, {"request_id": "2", "name": "live", "status": "sleeping"})
            return request.refuse(404, "not_found")
        request.json(200, {"jobs": [ended]})  # a server that does not know the filter

    with Wire(answer) as wire:
        mags = connect(wire.url)
        assert mags.find_job("live")["request_id"] == "2"
        assert mags.find_job("ws") == ended
        assert mags.find_job("nothing") is None
