"""A development environment: a machine that stays, with a workspace that outlives it, reached over SSH."""

import subprocess
import tempfile
from pathlib import Path

from mags import Mags

NAME = "dev-python"


def ssh(access: dict, command: str) -> str:
    """Runs a command with the system's ssh, as an editor's remote mode does."""
    with tempfile.TemporaryDirectory() as directory:
        key = Path(directory, "key")
        key.touch(mode=0o600)
        key.write_text(access["ssh_private_key"])
        known = Path(directory, "known_hosts")
        known.write_text(f"mags {access['ssh_host_key']}\n")
        options = [f"IdentityFile={key}", "IdentitiesOnly=yes", f"UserKnownHostsFile={known}", "HostKeyAlias=mags"]
        flags = [word for option in options for word in ("-o", option)]
        target = f"{access['ssh_user']}@{access['ssh_host']}"
        line = ["ssh", *flags, "-p", str(access["ssh_port"]), target, command]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


with Mags() as mags:
    mags.new(NAME)
    access = mags.enable_access(NAME, port=22)
    print(ssh(access, "git init -q project && cd project && echo 'print(\"hello\")' > main.py && python3 main.py"))
    mags.sync(NAME)
    mags.stop(NAME)

    # Another day: the same files in another machine.
    mags.new(NAME)
    print(ssh(mags.enable_access(NAME, port=22), "cat project/main.py"))
    mags.stop(NAME)
    print("kept:", NAME in [one["workspace_id"] for one in mags.list_workspaces()["workspaces"]])
    mags.delete_workspace(NAME, force=True)
