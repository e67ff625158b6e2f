"""A scheduled task that keeps its state in a workspace; here it is also fired by hand, twice, to see it work."""

from mags import Mags

WORKSPACE = "nightly-python"
SCRIPT = "echo run >> history; echo this was run number $(wc -l < history)"

with Mags() as mags:
    schedule = mags.cron_create(name="nightly-python", cron_expression="0 3 * * *", script=SCRIPT, workspace_id=WORKSPACE)
    print("next:", schedule["next_run_at"][11:16])

    for _ in range(2):
        job = mags.cron_run(schedule["id"])["request_id"]
        mags.wait(job, timeout=120)
        print([entry["message"] for entry in mags.logs(job)["logs"] if entry["source"] == "stdout"][0])

    mags.cron_update(schedule["id"], enabled=False)
    print("enabled:", mags.cron_get(schedule["id"])["enabled"])
    mags.cron_delete(schedule["id"])
    mags.delete_workspace(WORKSPACE, force=True)
