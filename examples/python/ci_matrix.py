"""CI: prepare a workspace once, then run every cell of the matrix from it at the same time; one that fails fails all."""

import sys
from itertools import product

from mags import Mags

BASE = "ci-python-base"
SETUP = """
mkdir -p project && cd project
printf 'def add(a, b):\\n    return a + b\\n' > calc.py
printf 'import sys\\nfrom calc import add\\nassert add(int(sys.argv[1]), 1) == int(sys.argv[2])\\n' > check.py
"""
MATRIX = {"seed": ["1", "2"], "suite": ["fast", "full"]}

with Mags() as mags:
    prepared = mags.run_and_wait(SETUP, workspace_id=BASE, timeout=120)
    assert prepared["exit_code"] == 0, prepared["stderr"]

    cells = [dict(zip(MATRIX, values)) for values in product(*MATRIX.values())]
    jobs = [
        mags.run(
            "cd project && python3 check.py $seed $(( seed + 1 )) && echo $suite with seed $seed is good",
            base_workspace_id=BASE,
            environment=cell,
        )["request_id"]
        for cell in cells
    ]
    codes = []
    for cell, job in zip(cells, jobs):
        codes.append(mags.wait(job, timeout=120)["exit_code"])
        for entry in mags.logs(job)["logs"]:
            if entry["source"] != "system":
                print(entry["message"])
    mags.delete_workspace(BASE, force=True)
    print(f"{codes.count(0)} of {len(codes)} passed")
    sys.exit(0 if codes.count(0) == len(codes) else 1)
