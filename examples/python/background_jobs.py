"""Background jobs: hand many over at once, go on with other things, collect the results, and follow one as it runs."""

from mags import Mags

with Mags() as mags:
    jobs = {n: mags.run(f"sleep 1; echo $(( {n} * {n} ))", name=f"square-{n}")["request_id"] for n in range(1, 5)}
    print("handed over:", len(jobs))

    slow = mags.run("for step in 1 2 3; do echo step $step; sleep 0.3; done")["request_id"]
    for item in mags.follow_logs(slow):
        if item["type"] == "entry" and item["source"] == "stdout":
            print("slow:", item["message"])

    for n, request_id in jobs.items():
        job = mags.wait(request_id, timeout=60)
        [line] = [entry["message"] for entry in mags.logs(request_id)["logs"] if entry["source"] == "stdout"]
        print(f"{n} squared: {line} ({job['status']})")

    failed = mags.run_and_wait("echo no such luck >&2; exit 7")
    print("failed with", failed["exit_code"], failed["stderr"].strip())
