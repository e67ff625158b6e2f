/** Background jobs: hand many over at once, go on with other things, collect the results, and follow one as it runs. */
import { Mags } from "@mags/sdk";

const mags = new Mags();
const numbers = [1, 2, 3, 4];
const start = (n: number) => mags.run(`sleep 1; echo $(( ${n} * ${n} ))`, { name: `square-${n}` });
const jobs = await Promise.all(numbers.map(start));
console.log("handed over:", jobs.length);

const slow = await mags.run("for step in 1 2 3; do echo step $step; sleep 0.3; done");
for await (const item of mags.followLogs(slow.requestId))
  if (item.type === "entry" && item.source === "stdout") console.log("slow:", item.message);

for (const [index, { requestId }] of jobs.entries()) {
  const { status } = await mags.wait(requestId, { waitTimeout: 60 });
  const line = (await mags.logs(requestId)).find(({ source }) => source === "stdout")?.message;
  console.log(`${numbers[index]} squared: ${line} (${status})`);
}

const failed = await mags.runAndWait("echo no such luck >&2; exit 7");
console.log("failed with", failed.exitCode, failed.stderr.trim());
