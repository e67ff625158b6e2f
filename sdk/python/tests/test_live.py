"""The client against a running server, with real machines."""

import asyncio
import hashlib
import io
import tarfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any, Callable, Iterator

import httpx
import pytest

from mags import AsyncMags, MagsError

Connect = Callable[..., Any]
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def label(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def test_a_script_runs_and_its_exit_code_and_outputs_come_back(live: Any) -> None:
    result = live.run_and_wait('echo "out $A"; echo err >&2; exit 3', environment={"A": "é"}, timeout=60)
    assert (result["status"], result["exit_code"], result["error"]) == ("completed", 3, None)
    assert (result["stdout"], result["stderr"]) == ("out é\n", "err\n")
    assert result["duration_ms"] > 0
    messages = {(entry["source"], entry["message"]) for entry in result["logs"]}
    assert {("stdout", "out é"), ("stderr", "err")} <= messages


def test_run_returns_at_once_and_status_and_logs_tell_the_rest(live: Any) -> None:
    name = label("py")
    started = live.run("sleep 1; echo done", name=name)
    assert started["name"] == name
    assert live.status(started["request_id"])["status"] in ("accepted", "starting", "running")
    assert live.find_job(name)["request_id"] == started["request_id"]
    assert live.wait(started["request_id"], timeout=60)["exit_code"] == 0
    logs = live.logs(started["request_id"])
    assert "done" in [entry["message"] for entry in logs["logs"]]
    assert logs["end"]["exit_code"] == 0
    assert live.list_jobs(name=name, status="completed")["jobs"][0]["request_id"] == started["request_id"]
    assert live.list_jobs(page=2, page_size=1)["page"] == 2


def test_run_and_wait_on_a_persistent_job_returns_when_the_script_has_ended(live: Any) -> None:
    result = live.run_and_wait("echo up", persistent=True, timeout=60)
    try:
        assert (result["status"], result["exit_code"], result["stdout"]) == ("running", 0, "up\n")
        assert live.status(result["request_id"])["vm_id"]
        updated = live.update_job(result["request_id"], no_sleep=True, startup_command="true")
        assert (updated["no_sleep"], updated["startup_command"]) == (True, "true")
    finally:
        live.stop(result["request_id"])
    assert live.wait(result["request_id"], timeout=60)["status"] in ("stopped", "running")


def test_a_wait_that_is_too_short_names_the_job_which_goes_on(live: Any) -> None:
    with pytest.raises(MagsError, match="has not ended within 1 s") as caught:
        live.run_and_wait("sleep 60", timeout=1)
    job = caught.value.job_id
    assert caught.value.code == "timeout"
    live.stop(job)
    assert live.wait(job, timeout=60)["status"] == "stopped"
    with pytest.raises(MagsError) as again:
        live.stop(job)
    assert again.value.status_code == 409


def test_a_script_that_runs_too_long_is_an_error_of_the_job(live: Any) -> None:
    result = live.run_and_wait("sleep 60", script_timeout=1, timeout=60)
    assert (result["status"], result["reason"]) == ("error", "timeout")


def test_a_log_is_followed_while_it_grows_and_resumed_at_its_cursors(live: Any) -> None:
    job = live.run("for i in 1 2 3; do echo $i; sleep 0.3; done; exit 5")["request_id"]
    items = list(live.follow_logs(job))
    lines = [item for item in items if item["type"] == "entry" and item["source"] == "stdout"]
    assert [item["message"] for item in lines] == ["1", "2", "3"]
    assert (items[-1]["type"], items[-1]["exit_code"]) == ("end", 5)
    rest = [item for item in live.follow_logs(job, after=lines[0]["cursor"]) if item["type"] == "entry"]
    assert [item["message"] for item in rest if item["source"] == "stdout"] == ["2", "3"]


def test_refusals_have_status_code_field_and_what_to_do(connect: Connect, live: Any) -> None:
    for call in (live.status, live.logs, live.stop, live.wait, lambda job: list(live.follow_logs(job))):
        with pytest.raises(MagsError) as caught:
            call(UNKNOWN)
        assert (caught.value.status_code, caught.value.code) == (404, "not_found")
    with pytest.raises(MagsError, match="timeout") as caught:
        live.run("true", timeout=-1)
    assert (caught.value.status_code, caught.value.field) == (400, "timeout")
    assert caught.value.hint and caught.value.request_id
    with pytest.raises(MagsError) as caught:
        connect(api_token="wrong").list_jobs()
    assert caught.value.status_code == 401


def test_find_job_takes_ids_names_of_live_and_of_ended_jobs(live: Any) -> None:
    name = label("found")
    first = live.run_and_wait("true", name=name)["request_id"]
    assert live.find_job(first)["name"] == name
    assert live.find_job(name)["request_id"] == first
    second = live.run("sleep 60", name=name)["request_id"]
    assert live.find_job(name)["request_id"] == second
    live.stop(name)
    assert live.find_job(label("nobody")) is None


def test_files_are_uploaded_listed_and_deleted(live: Any, tmp_path: Path) -> None:
    (tmp_path / "größe.bin").write_bytes(b"x" * 3_000_000)
    sent = []
    files = [tmp_path / "größe.bin", ("b.txt", b"bytes")]
    first, second = live.upload_files(files, progress=lambda *call: sent.append(call))
    assert sent[-1] == ("b.txt", 5, 5)
    listed = {file["file_id"]: file for file in live.list_files()["files"]}
    assert (listed[first]["name"], listed[first]["bytes"]) == ("größe.bin", 3_000_000)
    assert listed[second]["sha256"] == hashlib.sha256(b"bytes").hexdigest()
    for file in (first, second):
        assert live.delete_file(file)["deleted"] is True
    with pytest.raises(MagsError) as caught:
        live.delete_file(first)
    assert caught.value.status_code == 404


def test_the_pool_is_shown(live: Any) -> None:
    pool = live.pool_status()
    assert pool["idle_vms"] + pool["busy_vms"] == pool["total_vms"]


def test_scripts_wait_side_by_side_in_one_event_loop() -> None:
    async def many() -> Any:
        async with AsyncMags() as mags:
            return await asyncio.gather(*(mags.run_and_wait(f"sleep 1; exit {code}") for code in range(4)))

    assert [result["exit_code"] for result in asyncio.run(many())] == [0, 1, 2, 3]


def test_one_blocking_client_serves_many_threads(live: Any) -> None:
    if not hasattr(live, "_calls"):
        pytest.skip("AsyncMags belongs to one loop")
    codes = []
    threads = [
        threading.Thread(target=lambda code=code: codes.append(live.run_and_wait(f"exit {code}")["exit_code"]))
        for code in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, 1, 2, 3]


def test_a_cancelled_task_leaves_no_call_behind() -> None:
    async def cancel() -> float:
        async with AsyncMags() as mags:
            job = (await mags.run("sleep 60"))["request_id"]
            waiting = asyncio.create_task(mags.wait(job))
            await asyncio.sleep(0.3)
            started = time.monotonic()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await mags.stop(job)
            return time.monotonic() - started

    assert asyncio.run(cancel()) < 10


def test_the_script_of_a_persistent_job_has_no_limit_unless_one_is_given(live: Any) -> None:
    job = live.run("sleep infinity", persistent=True)["request_id"]
    try:
        assert live.status(job)["timeout"] is None
    finally:
        live.stop(job)
    limited = live.run_and_wait("sleep infinity", persistent=True, script_timeout=1, timeout=60)
    assert (limited["status"], limited["reason"]) == ("error", "timeout")


def test_usage_is_summed_up(live: Any) -> None:
    live.run_and_wait("sleep 1")
    usage = live.usage(window_days=1)
    assert usage["total_jobs"] > 0
    assert usage["vm_seconds"] >= 1


def test_a_workspace_keeps_files_a_base_does_not_and_a_fork_keeps_its_own(live: Any) -> None:
    base, fork = label("base"), label("fork")
    made = live.run_and_wait("echo one > note", workspace_id=base, timeout=120)
    assert (made["status"], made["exit_code"]) == ("completed", 0)
    assert live.run_and_wait("cat note", workspace_id=base, timeout=120)["stdout"] == "one\n"
    read = live.run_and_wait("cat note; echo two > note", base_workspace_id=base, timeout=120)
    assert (read["stdout"], read["exit_code"]) == ("one\n", 0)
    live.run_and_wait("echo three >> note", workspace_id=fork, base_workspace_id=base, timeout=120)
    assert live.run_and_wait("cat note", workspace_id=fork, timeout=120)["stdout"] == "one\nthree\n"
    assert live.run_and_wait("cat note", workspace_id=base, timeout=120)["stdout"] == "one\n"
    assert live.find_job(fork)["workspace_id"] == fork


def test_new_makes_a_machine_that_stays_on_its_workspace(live: Any) -> None:
    name = label("box")
    box = live.new(name, timeout=60, memory_mb=256)
    try:
        assert box["status"] == "running"
        assert box["vm_id"] and live.status(name)["request_id"] == box["request_id"]
        beside = live.run_and_wait("hostname", workspace_id=name, timeout=60)
        assert beside["exit_code"] == 0
        assert live.status(beside["request_id"])["host_job"] == box["request_id"]
    finally:
        live.stop(name)


def test_a_schedule_is_made_changed_run_and_deleted(live: Any) -> None:
    name = label("nightly")
    cron = live.cron_create(
        name=name, cron_expression="0 3 * * *", script="echo $A", environment={"A": "b"}, time_zone="Europe/Berlin",
        memory_mb=256,
    )
    assert (cron["name"], cron["enabled"], cron["time_zone"]) == (name, True, "Europe/Berlin")
    assert cron["id"] in [entry["id"] for entry in live.cron_list()["cron_jobs"]]
    assert live.cron_update(cron["id"], enabled=False)["enabled"] is False
    assert live.cron_get(name)["enabled"] is False
    started = live.cron_run(cron["id"])
    assert live.wait(started["request_id"], timeout=60)["exit_code"] == 0
    assert live.cron_runs(cron["id"])["runs"][0]["request_id"] == started["request_id"]
    live.cron_delete(cron["id"])
    with pytest.raises(MagsError) as caught:
        live.cron_get(cron["id"])
    assert caught.value.status_code == 404
    with pytest.raises(MagsError, match="cron_expression"):
        live.cron_create(name=name, cron_expression="at noon", script="true")


@pytest.fixture()
def box(live: Any) -> Iterator[str]:
    """The name of a machine that is up, and of its workspace."""
    name = label("box")
    live.new(name, timeout=60, memory_mb=256)
    yield name
    live.stop(name)


def test_commands_run_in_a_machine_that_is_up(live: Any, box: str) -> None:
    done = live.exec(box, "cat; echo $A >&2; pwd; exit 4", stdin="in\n", env={"A": "b"}, cwd="/tmp")
    assert (done["exit_code"], done["stdout"], done["stderr"], done["output"]) == (4, "in\n/tmp\n", "b\n", done["stdout"])
    assert live.exec(box, ["printf", "%s|", "a b", "c"])["stdout"] == "a b|c|"
    assert live.exec(box, ["cat"], stdin=b"\xff\0")["stdout_bytes"] == b"\xff\0"
    late = live.exec(box, "sleep 60", timeout=1)
    assert late["timed_out"] is True
    with pytest.raises(MagsError) as caught:
        live.exec(label("nobody"), "true")
    assert caught.value.status_code == 404


def test_a_port_has_a_url_and_a_key_opens_ssh(live: Any, box: str) -> None:
    live.exec(box, "mkdir -p /srv/www && echo hello > /srv/www/index.html")
    live.exec(box, "cd /srv/www && nohup python3 -m http.server 8080 >/dev/null 2>&1 &")
    opened = live.url(box)
    assert live.status(box)["url"] == opened["url"]
    address = httpx.URL(opened["url"])
    page = httpx.get(address.copy_with(host="127.0.0.1"), headers={"Host": address.netloc.decode()}, timeout=30)
    assert (page.status_code, page.text) == (200, "hello\n")
    ssh = live.enable_access(box, port=22)
    assert ssh["success"] is True and ssh["ssh_host"] and ssh["ssh_port"] > 0
    assert ssh["ssh_private_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


def test_an_alias_names_a_workspace(live: Any, box: str) -> None:
    subdomain = label("alias")
    alias = live.url_alias_create(subdomain, box, port=8080)
    assert alias["subdomain"] == subdomain and subdomain in alias["url"]
    assert subdomain in [entry["subdomain"] for entry in live.url_alias_list()["aliases"]]
    live.url_alias_delete(subdomain)
    assert subdomain not in [entry["subdomain"] for entry in live.url_alias_list()["aliases"]]


def test_files_of_a_workspace_are_read_written_and_brought_in_without_a_job(live: Any) -> None:
    name, copy = label("py-files"), label("py-copy")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("srv/brought")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"one"))
    live.import_workspace(name, tar.getvalue())
    live.write_workspace_file(name, "/srv/new/file", "two", mode="600")
    assert live.read_workspace_file(name, "/srv/brought") == b"one"
    assert [entry["name"] for entry in live.list_workspace_files(name, "/srv/new")["entries"]] == ["file"]
    with pytest.raises(MagsError) as missing:
        live.read_workspace_file(name, "/srv/new/file", version=1)
    assert missing.value.status_code == 404
    exported = b"".join(live.export_workspace(name))
    live.import_workspace(copy, exported, format="tar", disk_gb=0.3, sha256=hashlib.sha256(exported).hexdigest())
    assert live.read_workspace_file(copy, "/srv/new/file") == b"two"
    assert live.get_workspace(copy)["disk_gb"] == 0.3


def test_a_workspace_has_versions_forks_and_a_size(live: Any) -> None:
    name, fork = label("ws"), label("fork")
    live.run_and_wait("echo one > note", workspace_id=name, timeout=120)
    live.run_and_wait("echo two > note", workspace_id=name, timeout=120)
    assert name in [entry["workspace_id"] for entry in live.list_workspaces()["workspaces"]]
    versions = live.list_versions(name)["versions"]
    assert [entry["version"] for entry in versions] == [2, 1]
    assert live.fork_workspace(name, fork, version=1)["workspace_id"] == fork
    assert live.run_and_wait("cat note", workspace_id=fork, timeout=120)["stdout"] == "one\n"
    live.roll_back_workspace(name, 1)
    assert live.run_and_wait("cat note", base_workspace_id=name, timeout=120)["stdout"] == "one\n"
    assert live.resize(name, 3)["disk_gb"] == 3
    assert live.verify_workspace(name)["ok"] is True
    assert b"one\n" in b"".join(live.export_workspace(name))
    for workspace in (name, fork):
        assert live.delete_workspace(workspace)["deleted"] is True
    with pytest.raises(MagsError) as caught:
        live.get_workspace(name)
    assert caught.value.status_code == 404


def test_a_sync_makes_durable_what_a_machine_has_written(live: Any, box: str) -> None:
    live.exec(box, "echo kept > note")
    done = live.sync(box)
    assert done["synced"] is True and done["durable_at"]
    assert live.sync_workspace(box)["synced"] is True
    assert live.run_and_wait("cat note", base_workspace_id=box, timeout=120)["stdout"] == "kept\n"
    with pytest.raises(MagsError) as caught:
        live.delete_workspace(box)
    assert caught.value.status_code == 409


def test_uploaded_files_are_in_the_home_of_a_job(live: Any) -> None:
    ids = live.upload_files([("a.txt", b"a"), ("b.txt", b"b")])
    assert live.run_and_wait("cat a.txt b.txt", file_ids=ids, timeout=60)["stdout"] == "ab"


def test_files_of_a_machine_are_read_written_listed_packed_and_removed(live: Any, box: str) -> None:
    live.write_file(box, "a/b/c.bin", b"\xff\0" * 50_000, mode="640", parents=True)
    assert live.read_file(box, "/root/a/b/c.bin") == b"\xff\0" * 50_000
    assert live.exec(box, "stat -c %a a/b/c.bin")["stdout"] == "640\n"
    live.write_file(box, "a/é ?&.txt", io.BytesIO("größe".encode()))
    live.make_directory(box, "a/empty")
    assert sorted(entry["name"] for entry in live.list_directory(box, "a")) == ["b", "empty", "é ?&.txt"]
    assert live.stat_file(box, "a/é ?&.txt")["size"] == len("größe".encode())
    live.unpack_directory(box, "copy", b"".join(live.pack_directory(box, "a")))
    assert live.read_file(box, "copy/é ?&.txt").decode() == "größe"
    live.remove_file(box, "a", recursive=True)
    for path in ("a", "a/b/c.bin"):
        with pytest.raises(MagsError) as caught:
            live.read_file(box, path)
        assert caught.value.status_code == 404


def test_a_machine_sleeps_and_wakes_with_its_files(live: Any, box: str) -> None:
    live.exec(box, "echo kept > note")
    assert live.sleep(box)["status"] == "sleeping"
    assert live.find_job(box)["status"] == "sleeping"
    assert live.exec(box, "cat note", timeout=60)["stdout"] == "kept\n"
    live.sleep(box)
    assert live.wake(box)["status"] == "running"
