"""What the guide to the Python API shows, block by block, against a running server with real machines."""

import os
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator

import httpx
import pytest

from mags import Mags, MagsError

Connect = Callable[..., Any]


@pytest.fixture
def name(live: Any) -> Iterator[str]:
    """A name for a workspace, which goes with the test."""
    chosen = f"guide-{uuid.uuid4().hex[:8]}"
    yield chosen
    for workspace in (chosen, f"{chosen}-fork"):
        try:
            live.delete_workspace(workspace, force=True)
        except MagsError as error:
            assert error.status_code == 404


def test_run_then_status_and_logs(live: Any) -> None:
    job = live.run("echo 'Hello from a VM!'")
    request_id = job["request_id"]
    assert job["status"] == "accepted"
    status = live.wait(request_id, timeout=60)
    assert {"request_id", "name", "status", "vm_id", "exit_code", "script_duration_ms", "error"} <= status.keys()
    logs = live.logs(request_id)["logs"]
    assert [entry["message"] for entry in logs if entry["source"] == "stdout"] == ["Hello from a VM!"]
    assert {"timestamp", "level", "source", "message"} <= logs[0].keys()


def test_run_and_wait_answers_status_exit_code_duration_and_logs(live: Any) -> None:
    result = live.run_and_wait("echo out; exit 3", timeout=60)
    assert (result["status"], result["exit_code"]) == ("completed", 3)
    assert result["duration_ms"] > 0 and result["logs"]


def test_mode_ephemeral_keeps_nothing(live: Any) -> None:
    assert live.run_and_wait("echo x > file; ls", ephemeral=True, timeout=60)["stdout"] == "file\n"
    assert live.run_and_wait("ls", ephemeral=True, timeout=60)["stdout"] == ""


def test_mode_workspace_keeps_files(live: Any, name: str) -> None:
    live.run_and_wait("echo kept > file", workspace_id=name, timeout=120)
    assert live.run_and_wait("cat file", workspace_id=name, timeout=120)["stdout"] == "kept\n"


def test_mode_read_only_base_discards_changes_also_side_by_side(live: Any, name: str) -> None:
    live.run_and_wait("echo base > file", workspace_id=name, timeout=120)
    jobs = [live.run(f"echo {n} >> file; wc -l < file", base_workspace_id=name)["request_id"] for n in range(3)]
    for job in jobs:
        live.wait(job, timeout=120)
        assert [entry["message"] for entry in live.logs(job)["logs"] if entry["source"] == "stdout"] == ["2"]
    assert live.run_and_wait("cat file", base_workspace_id=name, timeout=120)["stdout"] == "base\n"


def test_mode_fork_leaves_the_base_as_it_was(live: Any, name: str) -> None:
    fork = f"{name}-fork"
    live.run_and_wait("echo base > file", workspace_id=name, timeout=120)
    live.run_and_wait("echo fork >> file", workspace_id=fork, base_workspace_id=name, timeout=120)
    assert live.run_and_wait("cat file", workspace_id=fork, timeout=120)["stdout"] == "base\nfork\n"
    assert live.run_and_wait("cat file", workspace_id=name, timeout=120)["stdout"] == "base\n"


def test_upload_files(live: Any, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print(open('data.json').read())")
    (tmp_path / "data.json").write_text('{"n": 1}')
    ids = live.upload_files([str(tmp_path / "script.py"), str(tmp_path / "data.json")])
    assert live.run_and_wait("python3 script.py", file_ids=ids, timeout=60)["stdout"] == '{"n": 1}\n'
    twice = live.upload_files([("same.txt", b"1"), ("same.txt", b"2")])
    with pytest.raises(MagsError) as caught:
        live.run("true", file_ids=twice)
    assert caught.value.status_code in (400, 409, 422)


def test_workspaces_are_synced_listed_and_deleted(live: Any, name: str) -> None:
    job = live.run_and_wait("echo x > file", workspace_id=name, persistent=True, timeout=120)
    assert job["status"] == "running"
    assert live.sync(job["request_id"])["synced"] is True
    [listed] = [entry for entry in live.list_workspaces()["workspaces"] if entry["workspace_id"] == name]
    assert listed["job_count"] >= 1
    live.stop(job["request_id"])
    assert live.delete_workspace(name, force=True)["deleted"] is True


def test_access_by_ssh_and_by_url(live: Any, name: str, tmp_path: Path) -> None:
    job = live.run("cd /srv && echo served > index.html && python3 -m http.server 8080", workspace_id=name, persistent=True)
    url = live.enable_access(job["request_id"], port=8080)
    assert url["success"] is True
    address = httpx.URL(url["url"])
    headers = {"Host": address.netloc.decode()}
    for _ in range(100):
        page = httpx.get(address.copy_with(host="127.0.0.1"), headers=headers, timeout=60)
        if page.status_code == 200:
            break
        time.sleep(0.2)
    assert page.text == "served\n"
    ssh = live.enable_access(job["request_id"], port=22)
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(ssh["ssh_private_key"])
    options = ["-i", str(key), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'known'}"]
    line = ["ssh", "-q", *options, "-p", str(ssh["ssh_port"]), f"root@{ssh['ssh_host']}", "cat /srv/index.html"]
    assert subprocess.run(line, check=True, capture_output=True, text=True, timeout=60).stdout == "served\n"
    live.stop(job["request_id"])


def test_cron_jobs(live: Any) -> None:
    job = live.cron_create(
        name=f"guide-{uuid.uuid4().hex[:8]}", cron_expression="0 0 * * *", script="echo x", environment={"A": "1"}
    )
    [listed] = [entry for entry in live.cron_list()["cron_jobs"] if entry["id"] == job["id"]]
    assert {"name", "cron_expression", "enabled", "last_run_at", "next_run_at"} <= listed.keys()
    assert live.cron_update(job["id"], enabled=False)["enabled"] is False
    live.cron_delete(job["id"])
    assert job["id"] not in [entry["id"] for entry in live.cron_list()["cron_jobs"]]


def test_errors_have_a_status_code(live: Any, connect: Connect) -> None:
    for call, status in [
        (lambda: live.status(str(uuid.uuid4())), 404),
        (lambda: live.run(5), 400),
        (lambda: live.run("true", environment={"A": 1}), 400),
        (lambda: Mags("wrong", os.environ["MAGS_API_URL"]).list_jobs(), 401),
    ]:
        with pytest.raises(MagsError) as caught:
            call()
        assert caught.value.status_code == status


def test_a_startup_command_is_set_and_taken_away(live: Any, name: str) -> None:
    live.new(name)
    assert live.update_job(name, startup_command="true")["startup_command"] == "true"
    assert live.update_job(name, no_sleep=True)["startup_command"] == "true"
    assert live.update_job(name, startup_command="")["startup_command"] is None


def test_a_directory_is_watched(live: Any, name: str) -> None:
    live.new(name)
    seen = []
    for change in live.watch_directory(name, "/srv", interval=0.2):
        if change["type"] == "ready":
            live.write_file(name, "/srv/new.txt", b"x")
            continue
        seen.append(change)
        break
    assert seen == [{"type": "created", "path": "new.txt"}]


def test_tokens_are_made_listed_and_revoked(live: Any) -> None:
    label = f"guide-{uuid.uuid4().hex[:8]}"
    made = live.create_token(label, scopes=["read"], expires_in_days=1)
    with Mags(api_token=made["token"], api_url=os.environ["MAGS_API_URL"]) as reader:
        assert reader.whoami()["scopes"] == ["read"]
        with pytest.raises(MagsError) as caught:
            reader.run("true")
        assert caught.value.status_code == 403
        assert label in [token["name"] for token in live.list_tokens()["tokens"]]
        live.revoke_token(made["id"])
        with pytest.raises(MagsError) as caught:
            reader.whoami()
        assert caught.value.status_code == 401
