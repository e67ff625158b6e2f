"""Everything that the hosted service's published client offers, as its users call it."""

import os
import time
import uuid

import pytest
from mags import Mags
from mags.client import MagsError


@pytest.fixture(scope="module")
def mags():
    return Mags()


def label(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def until(check, seconds=30.0):
    """Polls as its users do; answers the first thing that is true."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return found


def ended(mags, job):
    return until(lambda: mags.status(job)["status"] in ("completed", "error", "stopped"))


@pytest.fixture
def machine(mags):
    """A persistent machine that is up."""
    job = mags.run("sleep infinity", name=label("machine"), persistent=True)
    until(lambda: mags.status(job["request_id"])["status"] == "running")
    yield job
    mags.stop(job["request_id"])
    ended(mags, job["request_id"])


def test_run_and_wait(mags):
    result = mags.run_and_wait("echo hello; echo oops >&2; exit 3", timeout=60, poll_interval=0.2)
    assert (result["status"], result["exit_code"]) == ("completed", 3)
    assert result["duration_ms"] > 0
    assert {"hello", "oops"} <= {log["message"] for log in result["logs"]}


def test_every_option_of_run(mags):
    job = mags.run(
        "echo $GREETING", name=label("options"), environment={"GREETING": "hi"}, disk_gb=1, no_sync=True,
        rootfs_type="standard",
    )
    assert job["status"] == "accepted"
    ended(mags, job["request_id"])
    assert "hi" in [log["message"] for log in mags.logs(job["request_id"])["logs"]]
    assert mags.run("true", ephemeral=True)["request_id"]


def test_more_lines_than_a_page_come_in_one_answer(mags):
    result = mags.run_and_wait("seq 1 20000", timeout=60)
    lines = [log["message"] for log in result["logs"] if log["source"] == "stdout"]
    assert lines == [str(number) for number in range(1, 20001)]


def test_list_find_update_and_stop(mags, machine):
    name = machine["name"]
    listed = mags.list_jobs(page=1, page_size=5)
    assert listed["total"] >= 1
    assert machine["request_id"] in [job["request_id"] for job in listed["jobs"]]
    found = mags.find_job(name)
    assert (found["request_id"], found["status"]) == (machine["request_id"], "running")
    assert mags.find_job(label("nobody")) is None
    assert mags.update_job(machine["request_id"], no_sleep=True)["no_sleep"] is True
    assert mags.update_job(machine["request_id"], startup_command="true", no_sleep=False)["startup_command"] == "true"
    second = mags.run("sleep infinity", name=label("second"), persistent=True, no_sleep=True)
    until(lambda: mags.status(second["request_id"])["status"] == "running")
    mags.stop(mags.status(second["request_id"])["name"])
    ended(mags, second["request_id"])
    assert mags.status(second["request_id"])["status"] == "stopped"


def test_usage(mags):
    usage = mags.usage(window_days=7)
    assert usage["total_jobs"] > 0
    assert f"{usage['vm_seconds']:.0f}"


def test_errors_have_a_status(mags):
    for call in (mags.status, mags.logs, mags.stop, mags.sync):
        with pytest.raises(MagsError) as caught:
            call(str(uuid.uuid4()))
        assert caught.value.status_code == 404
    with pytest.raises(MagsError) as caught:
        mags.run("")
    assert caught.value.status_code == 400
    assert "script" in str(caught.value)
    with pytest.raises(MagsError) as caught:
        Mags(api_token="wrong").list_jobs()
    assert caught.value.status_code == 401
    with pytest.raises(MagsError, match="timed out"):
        mags.run_and_wait("sleep 30", timeout=1, poll_interval=0.2)


def test_uploaded_files_are_there(mags, tmp_path):
    (tmp_path / "data.csv").write_text("a\nb\n")
    (tmp_path / "config.json").write_text("{}")
    ids = mags.upload_files([str(tmp_path / "data.csv"), str(tmp_path / "config.json")])
    result = mags.run_and_wait("cat /root/config.json; echo; wc -l /uploads/data.csv", file_ids=ids, timeout=60)
    assert result["exit_code"] == 0
    assert {"{}", "2 /uploads/data.csv"} <= {log["message"] for log in result["logs"]}


def test_a_workspace_keeps_its_files_from_run_to_run(mags):
    workspace = label("ws")
    first = mags.run_and_wait("echo kept > note; echo done", workspace_id=workspace, timeout=60)
    assert first["exit_code"] == 0
    second = mags.run_and_wait("cat note", workspace_id=workspace, timeout=60)
    assert "kept" in [log["message"] for log in second["logs"]]
    base = mags.run_and_wait("cat note; echo changed > note", base_workspace_id=workspace, timeout=60)
    assert "kept" in [log["message"] for log in base["logs"]]
    listed = mags.list_workspaces()
    assert listed["total"] >= 1
    assert workspace in [entry["workspace_id"] for entry in listed["workspaces"]]
    mags.delete_workspace(workspace)
    assert workspace not in [entry["workspace_id"] for entry in mags.list_workspaces()["workspaces"]]


def test_new_exec_sync_resize_and_stop(mags):
    workspace = label("box")
    box = mags.new(workspace, timeout=60)
    assert box["status"] == "running"
    done = mags.exec(workspace, "echo from inside | tee note; echo err >&2; exit 4", timeout=20)
    assert done == {"exit_code": 4, "output": "from inside\n", "stderr": "err\n"}
    mags.sync(box["request_id"])
    bigger = mags.resize(workspace, 3, timeout=60)
    assert mags.exec(workspace, "cat note")["output"] == "from inside\n"
    size = int(mags.exec(workspace, "df -BM --output=size / | tail -1 | tr -dc 0-9")["output"])
    assert size > 2500
    mags.stop(workspace)
    ended(mags, bigger["request_id"])
    mags.delete_workspace(workspace)


def test_access_by_url_and_ssh(mags, machine):
    job = machine["request_id"]
    access = mags.enable_access(job, port=8080)
    assert access["success"] is True
    assert access["url"].startswith("http")
    assert mags.status(job)["subdomain"] in mags.url(job, port=8080)["url"]
    ssh = mags.enable_access(job, port=22)
    assert ssh["ssh_host"] and int(ssh["ssh_port"])
    assert "PRIVATE KEY" in ssh["ssh_private_key"]


def test_cron(mags):
    cron = mags.cron_create(
        name=label("nightly"), cron_expression="0 0 * * *", script="true", workspace_id=label("cron"),
        environment={"A": "b"},
    )
    assert cron["id"] in [entry["id"] for entry in mags.cron_list()["cron_jobs"]]
    assert mags.cron_get(cron["id"])["enabled"] is True
    mags.cron_update(cron["id"], enabled=False)
    assert mags.cron_get(cron["id"])["enabled"] is False
    mags.cron_delete(cron["id"])
    assert cron["id"] not in [entry["id"] for entry in mags.cron_list()["cron_jobs"]]


def test_url_aliases(mags):
    workspace, subdomain = label("app"), label("alias")
    mags.run_and_wait("true", workspace_id=workspace, timeout=60)
    alias = mags.url_alias_create(subdomain, workspace)
    assert (alias["subdomain"], subdomain in alias["url"]) == (subdomain, True)
    listed = mags.url_alias_list()
    assert subdomain in [entry["subdomain"] for entry in listed["aliases"]]
    assert listed["total"] >= 1
    assert mags.url_alias_create(subdomain, workspace)["url"] == alias["url"]
    other = label("other")
    mags.run_and_wait("true", workspace_id=other, timeout=60)
    with pytest.raises(MagsError, match="exist|conflict|already"):
        mags.url_alias_create(subdomain, other)
    mags.url_alias_delete(subdomain)
    assert subdomain not in [entry["subdomain"] for entry in mags.url_alias_list()["aliases"]]
    mags.delete_workspace(workspace)
    mags.delete_workspace(other)


def test_the_environment_names_the_server():
    assert Mags().api_url == os.environ["MAGS_API_URL"]
