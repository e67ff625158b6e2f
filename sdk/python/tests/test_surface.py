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
NODE = HERE.parent.parent / "node" / "src"
#: what the Node SDK has below a name of its own, and the file that holds it
PARTS = {
    "cron": "cron",
    "files": "files",
    "images": "images",
    "machineFiles": "machine-files",
    "audit": "audit",
    "members": "members",
    "nodes": "nodes",
    "quotas": "quotas",
    "secrets": "secrets",
    "webhooks": "webhooks",
    "tokens": "tokens",
    "workspaces": "workspaces",
}

#: where the names differ by more than their case
NODE_NAMES = {
    "list_jobs": "list",
    "upload_file": "files.upload",
    "list_files": "files.list",
    "delete_file": "files.delete",
    "cron_preview": "cron.preview",
    "cron_run": "cron.run",
    "cron_runs": "cron.runs",
    "list_images": "images.list",
    "make_image": "images.make",
    "build_image": "images.build",
    "remove_image": "images.remove",
    "get_workspace": "workspaces.get",
    "fork_workspace": "workspaces.fork",
    "sync_workspace": "workspaces.sync",
    "list_versions": "workspaces.versions",
    "delete_version": "workspaces.deleteVersion",
    "roll_back_workspace": "workspaces.rollBack",
    "verify_workspace": "workspaces.verify",
    "diff_workspace": "workspaces.diff",
    "list_workspace_files": "workspaces.listFiles",
    "export_workspace": "workspaces.export",
    "create_join_token": "nodes.createJoinToken",
    "import_workspace": "workspaces.import",
    "read_workspace_file": "workspaces.readFile",
    "write_workspace_file": "workspaces.writeFile",
    "backup": "nodes.backup",
    "fsck": "nodes.fsck",
    "list_nodes": "nodes.list",
    "remove_node": "nodes.remove",
    "drain_node": "nodes.drain",
    "undrain_node": "nodes.undrain",
    "whoami": "tokens.whoami",
    "create_token": "tokens.create",
    "list_tokens": "tokens.list",
    "revoke_token": "tokens.revoke",
    "get_quota": "quotas.get",
    "update_quota": "quotas.update",
    "list_secrets": "secrets.list",
    "set_secret": "secrets.set",
    "delete_secret": "secrets.delete",
    "create_webhook": "webhooks.create",
    "list_webhooks": "webhooks.list",
    "update_webhook": "webhooks.update",
    "delete_webhook": "webhooks.delete",
    "rotate_webhook": "webhooks.rotate",
    "test_webhook": "webhooks.test",
    "list_deliveries": "webhooks.deliveries",
    "replay_delivery": "webhooks.replay",
    "list_audit": "audit.list",
    "export_audit": "audit.export",
    "list_members": "members.list",
    "add_member": "members.add",
    "update_member": "members.update",
    "delete_member": "members.delete",
    "invite_member": "members.invite",
    "read_file": "machineFiles.read",
    "write_file": "machineFiles.write",
    "remove_file": "machineFiles.remove",
    "stat_file": "machineFiles.stat",
    "list_directory": "machineFiles.list",
    "make_directory": "machineFiles.makeDirectory",
    "pack_directory": "machineFiles.pack",
    "unpack_directory": "machineFiles.unpack",
    "watch_directory": "machineFiles.watch",
}
#: a connection pool to be closed is httpx's
ONLY_PYTHON = {"close"}
#: the way to what is flat here
ONLY_NODE = {"machineFiles"}


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


def node_methods(file: str) -> Set[str]:
    found = re.findall(r"^  (?:async )?\*?([a-z]\w*)(?:<\w+>)?\((?:$|.*\{$)", (NODE / f"{file}.ts").read_text(), re.MULTILINE)
    return set(found) - {"constructor"}


def test_the_node_sdk_has_the_same_calls() -> None:
    flat = node_methods("client")
    parts = {f"{part}.{name}" for part, file in PARTS.items() for name in node_methods(file)}
    assert len(flat) > 25 and len(parts) > 20
    python = {camel(name) for name in methods(Mags)} - ONLY_PYTHON
    assert python - flat - parts == set()
    assert flat - python == ONLY_NODE
    assert {part for part in parts if part.startswith("workspaces.")} <= python | {"workspaces.list", "workspaces.delete", "workspaces.resize"}


def test_a_job_takes_the_same_options() -> None:
    fields = re.findall(r"^  (\w+): options\.", (NODE / "job-body.ts").read_text(), re.MULTILINE)
    given = set(inspect.signature(Mags.run).parameters) - {"self", "script", "no_sync"}
    assert len(fields) > 15 and given == set(fields)


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
