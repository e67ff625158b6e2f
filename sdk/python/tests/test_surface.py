"""The clients have one surface: Mags, AsyncMags and the Node SDK."""

import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Set

from mags import AsyncMags, Mags, MagsError

HERE = Path(__file__).resolve().parent
NODE = HERE.parent.parent / "node" / "src" / "client.ts"

#: methods of the Node SDK that are not the camelCase of the Python name
NODE_NAMES = {"list_jobs": "list", "update_job": "update", "list_files": "files.list", "delete_file": "files.delete"}

#: the first speaks WebSocket, which httpx does not; the other holds what is flat here: read_file, write_file, …
ONLY_NODE = {"session", "machineFiles"}


def methods(kind: type) -> Dict[str, Any]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: method for name, method in found if not name.startswith("_")}


def camel(name: str) -> str:
    return NODE_NAMES.get(name) or re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def test_the_blocking_client_is_generated_from_the_other_and_up_to_date() -> None:
    subprocess.run([sys.executable, str(HERE.parent / "tools" / "generate.py"), "--check"], check=True)


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    blocking, asynchronous = methods(Mags), methods(AsyncMags)
    assert blocking.keys() == asynchronous.keys()
    for name, method in blocking.items():
        assert (
            inspect.signature(method).parameters == inspect.signature(asynchronous[name]).parameters
        ), name
        assert inspect.getdoc(method) == inspect.getdoc(asynchronous[name]), name
    assert inspect.signature(Mags).parameters == inspect.signature(AsyncMags).parameters


def test_every_method_of_the_node_sdk_is_here() -> None:
    node: Set[str] = set(re.findall(r"^  (?:async )?([a-z]\w*)(?:<\w+>)?\($", NODE.read_text(), re.MULTILINE))
    node |= set(re.findall(r"^  (?:async )?([a-z]\w*)\(.*\{$", NODE.read_text(), re.MULTILINE))
    node.discard("constructor")
    assert len(node) > 5
    assert node - {camel(name) for name in methods(Mags)} == ONLY_NODE


def test_both_clients_close_themselves() -> None:
    import asyncio

    async def use() -> bool:
        async with AsyncMags(api_token="t") as mags:
            assert not mags._http.transport.client.is_closed
        return mags._http.transport.client.is_closed

    with Mags(api_token="t") as mags:
        client = mags._calls._http.transport.client
        assert not client.is_closed
    assert client.is_closed
    assert asyncio.run(use())


def test_an_error_survives_a_process_boundary() -> None:
    error = MagsError("no", 404, code="not_found", hint="Look.")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status_code, copy.code) == ("no. Look.", 404, "not_found")
