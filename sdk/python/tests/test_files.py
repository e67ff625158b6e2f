"""Uploads: what is sent of a path, bytes and file objects."""

import io
import os
import threading
from email.parser import BytesParser
from pathlib import Path
from typing import Any, Callable, List, Optional, Tuple

import pytest
from conftest import Request, Wire

from mags import MagsError

Connect = Callable[..., Any]


def received(request: Request) -> Tuple[Optional[str], Optional[str], bytes]:
    """Field, file name and content of a multipart body."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    [part] = BytesParser().parsebytes(head + request.body).get_payload()
    disposition = "content-disposition"
    return part.get_param("name", header=disposition), part.get_filename(), part.get_payload(decode=True)


def answer(request: Request) -> None:
    request.json(201, {"file_id": f"f{len(request.wire.seen)}"})


def test_paths_bytes_and_file_objects_arrive_whole_with_their_names(connect: Connect, tmp_path: Path) -> None:
    big = os.urandom(300_000)
    (tmp_path / "data.bin").write_bytes(big)
    (tmp_path / "empty").touch()
    with Wire(answer) as wire, (tmp_path / "data.bin").open("rb") as opened:
        opened.seek(100)
        mags = connect(wire.url)
        files = [str(tmp_path / "data.bin"), tmp_path / "empty", ("b.txt", b"bytes"), ("s", io.BytesIO(b"x")), opened]
        assert mags.upload_files(files) == ["f1", "f2", "f3", "f4", "f5"]
        assert mags.upload_file(b"hi", name="named") == "f6"
        contents = [("data.bin", big), ("empty", b""), ("b.txt", b"bytes"), ("s", b"x"), ("data.bin", big[100:])]
        assert [received(request) for request in wire.seen] == [
            ("file", name, content) for name, content in [*contents, ("named", b"hi")]
        ]
        assert {request.line for request in wire.seen} == {"POST /api/v1/mags-files"}
        assert not opened.closed


def test_progress_tells_how_far_a_file_is(connect: Connect) -> None:
    calls: List[Tuple[str, int, Optional[int]]] = []
    with Wire(answer) as wire:
        connect(wire.url).upload_file(b"x" * 200_000, name="x", progress=lambda *call: calls.append(call))
    assert calls[-1] == ("x", 200_000, 200_000)
    assert len(calls) > 2
    assert [sent for _, sent, _ in calls] == sorted({sent for _, sent, _ in calls})


def test_an_upload_is_sent_again_from_where_the_file_stood(connect: Connect) -> None:
    def unlucky(request: Request) -> None:
        if len(wire.seen) == 1:
            request.cut()
        else:
            answer(request)

    file = io.BytesIO(b"0123456789")
    file.seek(4)
    with Wire(unlucky) as wire:
        assert connect(wire.url).upload_file(file, name="n") == "f2"
        assert [received(request)[2] for request in wire.seen] == [b"456789", b"456789"]


def test_a_pipe_is_sent_as_it_comes_and_only_once(connect: Connect) -> None:
    for action, sent in ((answer, "f1"), (Request.cut, None)):
        reader, writer = os.pipe()
        threading.Thread(target=lambda end=os.fdopen(writer, "wb"): (end.write(b"piped" * 50_000), end.close())).start()
        with Wire(action) as wire, os.fdopen(reader, "rb") as pipe:
            if sent:
                assert connect(wire.url).upload_file(pipe, name="p") == sent
            else:
                with pytest.raises(MagsError):
                    connect(wire.url).upload_file(pipe, name="p")
            assert [received(request)[2] for request in wire.seen] == [b"piped" * 50_000]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("/no/such/file", "cannot read /no/such/file: No such file"),
        ("/tmp", "cannot read /tmp: Is a directory"),
        (b"data", "has no name"),
        (5, "not int"),
        (None, "not NoneType"),
        (("t", io.StringIO("text")), "open it in binary mode"),
    ],
)
def test_what_is_no_file_is_refused(connect: Connect, file: Any, message: str) -> None:
    with Wire(answer) as wire, pytest.raises(MagsError, match=message):
        connect(wire.url).upload_file(file)


def test_an_answer_without_an_id_is_an_error(connect: Connect) -> None:
    with Wire(lambda request: request.json(200, {})) as wire, pytest.raises(MagsError, match="no id for n"):
        connect(wire.url).upload_file(b"x", name="n")
