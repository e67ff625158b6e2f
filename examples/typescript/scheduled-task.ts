/** A scheduled task that keeps its state in a workspace; here it is also fired by hand, twice, to see it work. */
import { Mags } from "@mags/sdk";

const WORKSPACE = "nightly-typescript";
const script = "echo run >> history; echo this was run number $(wc -l < history)";
const mags = new Mags();

const schedule = await mags.cron.create({
  name: "nightly-typescript",
  cronExpression: "0 3 * * *",
  script,
  workspaceId: WORKSPACE,
});
console.log("next:", schedule.next_run_at?.slice(11, 16));

for (let round = 0; round < 2; round++) {
  const { requestId } = await mags.cron.run(schedule.id);
  await mags.wait(requestId);
  console.log((await mags.logs(requestId)).find(({ source }) => source === "stdout")?.message);
}

await mags.cron.update(schedule.id, { enabled: false });
console.log("enabled:", (await mags.cron.get(schedule.id)).enabled);
await mags.cron.delete(schedule.id);
await mags.deleteWorkspace(WORKSPACE, { force: true });
