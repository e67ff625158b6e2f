"""Answers that the client puts together itself."""

from __future__ import annotations

import base64
from typing import Any, Dict, List, Optional, TypedDict

from .types import LogEntry


class RunResult(TypedDict):
    request_id: str
    name: str
    status: str
    #: 128+n when signal n ended the script; None when it did not end by itself
    exit_code: Optional[int]
    #: how long the script ran
    duration_ms: Optional[float]
    logs: List[LogEntry]
    stdout: str
    stderr: str
    signal: Optional[str]
    #: why the status is ``error``, in a sentence and in a word
    error: Optional[str]
    reason: Optional[str]


class Machine(TypedDict):
    request_id: str
    status: str
    vm_id: Optional[str]


class CommandResult(TypedDict):
    #: None when a signal ended the command
    exit_code: Optional[int]
    signal: Optional[str]
    timed_out: bool
    duration_ms: float
    #: what it printed, bytes that are no UTF-8 replaced; ``stdout_bytes`` and ``stderr_bytes`` have it exactly
    stdout: str
    stderr: str
    stdout_bytes: bytes
    stderr_bytes: bytes
    #: the same as ``stdout``
    output: str
    #: bytes of each that are not in the answer, because it is limited
    dropped: Dict[str, int]


def command_result(answer: Dict[str, Any]) -> CommandResult:
    stdout, stderr = (printed(answer, source) for source in ("stdout", "stderr"))
    return {
        "exit_code": answer["exit_code"],
        "signal": answer.get("signal"),
        "timed_out": answer.get("timed_out", False),
        "duration_ms": answer.get("duration_ms", 0),
        "stdout": stdout.decode(errors="replace"),
        "stderr": stderr.decode(errors="replace"),
        "stdout_bytes": stdout,
        "stderr_bytes": stderr,
        "output": stdout.decode(errors="replace"),
        "dropped": answer.get("dropped", {"stdout": 0, "stderr": 0}),
    }


def printed(answer: Dict[str, Any], source: str) -> bytes:
    encoded = answer.get(f"{source}_encoding") == "base64"
    return base64.b64decode(answer[source]) if encoded else str(answer[source]).encode()


class SessionEnd(TypedDict):
    """How a command that was talked to has ended. ``error``: it could not be started, and why."""

    exit_code: Optional[int]
    signal: Optional[str]
    error: Optional[str]
    timed_out: bool
