/** Runs that are repeated, what they changed, and a node that is taken out of service; by the command line, on a whole Mags. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start();
});
afterAll(() => daemon?.remove());

const BUILD =
  "date +%s%N > stamp; tr a-z A-Z < input > output; rm -f scrap; test -e made && exit 7; touch made; echo $MODE";

test("mags rerun starts from the version that the job began as, and diff shows whether it gave the same", async () => {
  const mags = await daemon.client();
  await mags.runAndWait("echo text > input; echo > scrap", { workspaceId: "lab" });
  const first = await mags.runAndWait(BUILD, { workspaceId: "lab", environment: { MODE: "fast" } });
  expect([first.exitCode, first.stdout]).toEqual([0, "fast\n"]);
  await mags.runAndWait("echo other > input", { workspaceId: "lab" });
  const changed = await daemon.cli(["workspace", "diff", "lab@2", "--json"]);
  const paths = JSON.parse(changed.stdout).entries.map(({ change, path }: { change: string; path: string }) => [
    change,
    path,
  ]);
  expect(paths.filter(([, path]: string[]) => path?.startsWith("/root/"))).toEqual([
    ["added", "/root/made"],
    ["added", "/root/output"],
    ["removed", "/root/scrap"],
    ["added", "/root/stamp"],
  ]);
  const again = await daemon.cli(["rerun", first.requestId, "-w", "lab-again"]);
  expect([again.stderr, again.stdout, again.exitCode]).toEqual(["", "fast\n", 0]);
  const beside = await daemon.cli(["workspace", "diff", "lab@2", "lab-again"]);
  expect(beside.stdout).toContain("~ /root/stamp");
  expect(beside.stdout).not.toContain("/root/output");
  expect(beside.stdout).toMatch(/^lab@2 -> lab-again@1: 0 added, 0 removed, \d+ modified$/m);
  // Without a workspace nothing of it is kept, and the first one is as it was.
  const thrown = await daemon.cli(["rerun", first.requestId, "--json"]);
  expect(JSON.parse(thrown.stdout)).toMatchObject({
    exit_code: 0,
    rerun_of: first.requestId,
    started_from: "lab@1",
    workspace_id: null,
  });
  expect((await mags.workspaces.get("lab")).latest_version).toBe(3);
  await mags.workspaces.deleteVersion("lab", 1);
  const refused = await daemon.cli(["rerun", first.requestId]);
  expect(refused.stderr).toContain("began as version lab@1, which was deleted since");
});

test("mags node drain waits for scripts, puts machines to sleep when nobody is in them, and undrain takes work again", async () => {
  const mags = await daemon.client();
  const script = await mags.run("sleep 4; echo done");
  const { requestId: kept } = await mags.run("echo mine > /root/file", { persistent: true, workspaceId: "kept" });
  await mags.wait(kept);
  const [{ name } = { name: "" }] = (await mags.nodes.list()).nodes;
  const drained = await daemon.cli(["node", "drain", name, "--wait"]);
  expect([drained.stdout, drained.exitCode]).toEqual([`${name} is drained\n`, 0]);
  expect(await mags.status(script.requestId)).toMatchObject({ status: "completed", exit_code: 0 });
  expect(await mags.status(kept)).toMatchObject({
    status: "sleeping",
    activity: { because: "its node is being drained" },
  });
  const waiting = await mags.run("true");
  await delay(2000);
  expect((await mags.status(waiting.requestId)).status).toBe("accepted");
  expect((await daemon.cli(["node", "undrain", name])).stdout).toBe(`${name} is ready\n`);
  expect((await mags.wait(waiting.requestId)).exit_code).toBe(0);
  expect((await mags.exec(kept, "cat /root/file")).stdout).toBe("mine\n");
  expect((await daemon.cli(["node", "list"])).stdout).toContain(name);
});

test("an upgrade of the server ends no running sandbox: the next process takes them up, also after kill -9", async () => {
  const mags = await daemon.client();
  const { requestId } = await mags.run("echo $$ > pid; sleep 300", { persistent: true, workspaceId: "steady" });
  // Right after its start a daemon may not have taken the machine up yet.
  const pid = () =>
    mags.exec(requestId, "kill -0 $(cat pid) && cat pid").then(
      ({ stdout }) => stdout,
      () => "",
    );
  await expect.poll(pid, { timeout: 30_000 }).not.toBe("");
  const before = await pid();
  const { vm_id } = await mags.status(requestId);
  for (const end of ["stop", "kill"] as const) {
    await daemon[end]();
    await daemon.start();
    await expect.poll(pid, { timeout: 30_000 }).toBe(before);
  }
  expect(await mags.status(requestId)).toMatchObject({ status: "running", vm_id });
  await mags.stop(requestId);
});
