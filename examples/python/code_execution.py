"""Run code that is not trusted: a fresh machine for each run, with limits, and nothing of it left."""

from mags import Mags


def execute(mags: Mags, code: str) -> str:
    """Runs Python code of a user; answers what it printed, or why it failed."""
    result = mags.run_and_wait(
        "python3 main.py",
        file_ids=mags.upload_files([("main.py", code.encode())]),
        ephemeral=True,
        network="none",
        memory_mb=256,
        script_timeout=30,
    )
    if result["status"] == "error":
        return f"not finished: {result['reason']}"
    return result["stdout"] if result["exit_code"] == 0 else result["stderr"].splitlines()[-1]


with Mags() as mags:
    print(execute(mags, "print(sum(range(101)))").strip())
    print(execute(mags, "1 / 0"))
    print(execute(mags, "import socket; socket.create_connection(('example.com', 80), 3)"))
