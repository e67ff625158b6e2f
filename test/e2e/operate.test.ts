/** What keeps several people safe beside each other, on a whole Mags: secrets in real machines, and the audit log of it all. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

const VALUE = "s3cret-value-of-the-test";

let daemon: Daemon;
let mags: Mags;
beforeAll(async () => {
  daemon = await Daemon.start({ MAGS_LOG_LEVEL: "debug" });
  mags = await daemon.client();
  await mags.secrets.set("of-test", VALUE);
});
afterAll(() => daemon.remove());

test("a script has its secrets, and its log does not show them, however they are printed", async () => {
  const script = `
    test "$S" = '${VALUE.slice(0, 10)}''${VALUE.slice(10)}' && echo same
    echo "x $S y"; echo "$S" >&2
    printf %s "$S" | cut -c1-12 | tr -d '\\n'; sleep 0.2; printf %s "$S" | cut -c13-
    i=0; while [ $i -lt 2000 ]; do echo "$i $S"; i=$((i + 1)); done`;
  const result = await mags.runAndWait(script, { secrets: { S: "of-test" } });
  expect(result.exitCode).toBe(0);
  expect(result.stdout.split("\n").slice(0, 3)).toEqual(["same", "x *** y", "***"]);
  expect(result.stdout.split("\n").at(-2)).toBe("1999 ***");
  expect(result.stderr).toBe("***\n");
  expect(JSON.stringify(result.logs)).not.toContain(VALUE);
});

test("no record of a job holds a value, and the key is for its owner alone", async () => {
  await mags.runAndWait("true", { secrets: { S: "of-test" } });
  const jobs = join(daemon.dataDir, "agent", "jobs");
  const names = await readdir(jobs, { recursive: true });
  const records = names.filter((name) => name.endsWith("job.json"));
  expect(records.length).toBeGreaterThan(0);
  for (const name of records) expect(await readFile(join(jobs, name), "utf8")).not.toContain(VALUE);
  expect((await stat(join(daemon.dataDir, "secrets.key"))).mode & 0o777).toBe(0o600);
});

test("a machine's secrets are in its commands, too, and come back when the server is killed and when it wakes", async () => {
  const name = "keeper";
  const startup_command = 'printf %s "$S" > /root/of-startup';
  await mags.runAndWait("true", { name, persistent: true, secrets: { S: "of-test" }, startupCommand: startup_command });
  const ask = async () => (await mags.exec(name, 'printf %s "$S"')).stdout;
  expect(await ask()).toBe(VALUE);
  await daemon.kill();
  await daemon.start();
  // Its agent takes it up again a moment after the API answers.
  await expect.poll(() => ask().catch(() => ""), { timeout: 30_000 }).toBe(VALUE);
  await mags.sleep(name);
  await mags.wake(name);
  expect(await ask()).toBe(VALUE);
  await expect
    .poll(async () => (await mags.exec(name, "cat /root/of-startup")).stdout, { timeout: 20_000 })
    .toBe(VALUE);
  await mags.stop(name);
});

test("the audit log has runs, commands and secrets, and no value of them", async () => {
  const entries = [];
  for await (const entry of mags.audit.export()) entries.push(entry);
  const actions = new Set(entries.map(({ action }) => action));
  for (const action of ["setSecret", "createJob", "secret.read", "exec", "sleepJob", "stopJob"])
    expect(actions, action).toContain(action);
  expect(JSON.stringify(entries)).not.toContain(VALUE);
  const seqs = entries.map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
});

test("X-Request-Id goes from the request to the job's row, and is in every line about it", async () => {
  const headers = {
    authorization: `Bearer ${await daemon.token()}`,
    "content-type": "application/json",
    "x-request-id": "edge-1",
  };
  const answer = await fetch(`${daemon.url}/api/v1/mags-jobs`, { method: "POST", headers, body: '{"script":"true"}' });
  expect(answer.headers.get("x-request-id")).toBe("edge-1");
  const { request_id } = (await answer.json()) as { request_id: string };
  expect((await mags.wait(request_id)).http_request_id).toBe("edge-1");
  const lines = (await daemon.stop()).split("\n").filter((line) => line.includes('"request":"edge-1"'));
  const said = lines.map((line) => JSON.parse(line));
  expect(said).toContainEqual(expect.objectContaining({ method: "POST", route: "/api/v1/mags-jobs", status: 202 }));
  for (const event of ["started", "finished"])
    expect(said).toContainEqual(expect.objectContaining({ job: request_id, attempt: 1, event }));
  await daemon.start();
});
