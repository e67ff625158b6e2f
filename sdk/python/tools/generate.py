"""Writes src/mags/_sync.py: the blocking client with the signatures of the asynchronous one.

With --check it says whether the file is up to date instead.
"""

import ast
import re
import sys
from pathlib import Path
from typing import Iterator, List, Optional

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "mags"
SOURCES = ("_jobs.py", "_access.py", "_session.py", "_images.py", "_machine_files.py", "_workspaces.py", "_nodes.py", "_resources.py", "_operate.py", "_webhooks.py")
TARGET = PACKAGE / "_sync.py"
WIDTH = 120

HEADER = '''"""Written by tools/generate.py from the asynchronous client: change that one and run it again."""

from __future__ import annotations

from typing import Any, BinaryIO, Callable, Dict, Generator, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from ._client import Blocking
from ._files import Progress, Upload
from ._images import Browser
from ._results import CommandResult, Machine, RunResult
from ._session import Session, begin
from ._transport import complete, iterate
from .types import {types}


class Mags(Blocking):
    """A client of one Mags server that blocks while it waits. All calls raise MagsError.

    ``api_token`` falls back to ``MAGS_API_TOKEN`` and ``MAGS_TOKEN``, ``api_url`` to ``MAGS_API_URL`` and
    ``http://127.0.0.1:7070``; ``timeout`` is for one call with its retries, in seconds.
    """

    def __enter__(self) -> Mags:
        return self
'''


def main() -> int:
    methods = "".join(method(function) for function in functions())
    text = HEADER.replace("{types}", ", ".join(types_in(methods))) + methods
    if "--check" not in sys.argv:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET} is out of date: run python3 {__file__}", file=sys.stderr)
    return 1


def functions() -> Iterator[ast.AsyncFunctionDef]:
    for source in SOURCES:
        for node in ast.parse((PACKAGE / source).read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Calls"):
                yield from (item for item in node.body if isinstance(item, ast.AsyncFunctionDef) and item.name[0] != "_")


def types_in(text: str) -> List[str]:
    """Types of the API that are named in it."""
    names = re.findall(r"^(?:class )?(\w+)(?:\(| = TypedDict)", (PACKAGE / "types.py").read_text(), re.MULTILINE)
    return sorted(name for name in names if re.search(rf"\b{name}\b", text))


def method(function: ast.AsyncFunctionDef) -> str:
    returns = ast.unparse(function.returns or ast.Constant(None))
    run = "complete"
    if returns.startswith("AsyncGenerator"):
        run, returns = "iterate", f"{returns[len('Async'):-1]}, None]"
    if returns == "AsyncSession":
        run, returns = "begin", "Session"
    lines = call(f"    def {function.name}", list(parameters(function.args)), f" -> {returns}:")
    if ast.get_docstring(function, clean=False) is not None:
        lines.append(f'        """{ast.get_docstring(function, clean=False)}"""')
    arguments = list(passed(function.args))
    lines += call(f"        return {run}(self._calls.{function.name}", arguments, ")")
    return "\n" + "\n".join(lines) + "\n"


def call(start: str, items: List[str], end: str) -> List[str]:
    """``start(items)end``, on as many lines as it takes."""
    whole = f"{start}({', '.join(items)}){end}"
    if len(whole) <= WIDTH:
        return [whole]
    indent = " " * (len(start) - len(start.lstrip()) + 4)
    rows = [""]
    for item in items:
        piece = f"{item}, "
        if rows[-1] and len(indent) + len(rows[-1]) + len(piece) > WIDTH:
            rows.append("")
        rows[-1] += piece
    return [f"{start}(", *(indent + row.rstrip() for row in rows), f"{indent[4:]}){end}"]


def parameters(args: ast.arguments) -> Iterator[str]:
    required = len(args.args) - len(args.defaults)
    for index, arg in enumerate(args.args):
        yield declared(arg, args.defaults[index - required] if index >= required else None)
    if args.kwonlyargs:
        yield "*"
    for arg, default in zip(args.kwonlyargs, args.kw_defaults):
        yield declared(arg, default)
    if args.kwarg:
        yield f"**{ast.unparse(args.kwarg)}"


def declared(arg: ast.arg, default: Optional[ast.expr]) -> str:
    return ast.unparse(arg) + ("" if default is None else f" = {ast.unparse(default)}")


def passed(args: ast.arguments) -> Iterator[str]:
    yield from (arg.arg for arg in args.args[1:])
    yield from (f"{arg.arg}={arg.arg}" for arg in args.kwonlyargs)
    if args.kwarg:
        yield f"**{args.kwarg.arg}"


if __name__ == "__main__":
    sys.exit(main())
