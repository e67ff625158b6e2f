"""A web app with a live preview: files are written while the server runs, the URL stays, and a visit wakes it."""

import time

import httpx

from mags import Mags

NAME = "preview-python"
SERVE = "cd /root/site && nohup python3 -m http.server 8080 >/dev/null 2>&1 &"


def visit(url: str) -> str:
    """Fetches a page; names below ``localhost`` are this machine, which not every resolver knows."""
    address = httpx.URL(url)
    host = address.netloc.decode()
    if address.host.endswith(".localhost"):
        address = address.copy_with(host="127.0.0.1")
    for _ in range(50):
        answer = httpx.get(address, headers={"Host": host}, timeout=60)
        if answer.status_code == 200:
            break
        time.sleep(0.2)  # the server in the machine is just starting
    return answer.text.strip()


with Mags() as mags:
    mags.new(NAME, startup_command=SERVE)
    mags.write_file(NAME, "site/index.html", b"<h1>first</h1>\n", parents=True)
    mags.exec(NAME, SERVE)
    url = mags.url(NAME, port=8080)["url"]
    print(visit(url))

    mags.write_file(NAME, "site/index.html", b"<h1>second</h1>\n")
    print(visit(url))

    mags.sleep(NAME)
    print("asleep:", mags.status(NAME)["status"])
    print(visit(url))
    mags.stop(NAME)
    mags.delete_workspace(NAME, force=True)
