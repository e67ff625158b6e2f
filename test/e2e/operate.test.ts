/** What keeps several people safe beside each other, on a whole Mags: secrets in real machines, and the audit log of it all. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import type { AuditEntry } from "@mags/protocol";
import { Mags } from "@mags/sdk";
import { logPrefix } from "@mags/storage";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";
import { SshClient } from "../harness/ssh.ts";

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

test("a secret that was deleted or changed while a script had it is masked to the end, through kill -9, also in the copy", async () => {
  const script = `i=0; while [ ! -e /tmp/go ]; do echo "on $S $i"; i=$((i + 1)); sleep 0.1; done; echo "last $S"; echo "$S" >&2`;
  const values = { "soon-deleted": "value-that-is-deleted-soon", "soon-changed": "value-that-is-changed-soon" };
  const jobs = await Promise.all(
    Object.entries(values).map(async ([name, value]) => {
      await mags.secrets.set(name, value);
      return { value, id: (await mags.run(script, { secrets: { S: name } })).requestId };
    }),
  );
  const lines = async (id: string) => (await mags.logs(id)).filter(({ message }) => message.startsWith("on ")).length;
  for (const { id } of jobs) await expect.poll(() => lines(id), { timeout: 30_000 }).toBeGreaterThan(0);
  await mags.secrets.delete("soon-deleted");
  // More often than versions are kept.
  for (let version = 2; version <= 12; version++) await mags.secrets.set("soon-changed", `later value ${version}`);
  await daemon.kill();
  await daemon.start();
  for (const { id, value } of jobs) {
    const before = await lines(id);
    await expect.poll(() => lines(id), { timeout: 30_000 }).toBeGreaterThan(before + 3);
    expect((await mags.exec(id, 'touch /tmp/go; printf %s "$S"')).stdout).toBe(value);
    expect(await mags.wait(id)).toMatchObject({ status: "completed", exit_code: 0 });
    const log = await mags.logs(id);
    expect(JSON.stringify(log)).not.toContain(value);
    expect(
      log.filter(({ message }) => /^(on|last) /.test(message)).every(({ message }) => message.includes("***")),
    ).toBe(true);
    expect(log.filter(({ message }) => message === "***")).toHaveLength(1);
    const copy = join(daemon.dataDir, "objects", "objects", logPrefix("default", id));
    const parts = async () =>
      Buffer.concat(
        await Promise.all(
          (await readdir(copy).catch(() => [])).map(async (name) =>
            zstdDecompressSync(await readFile(join(copy, name))),
          ),
        ),
      );
    await expect.poll(async () => (await parts()).includes("last ***"), { timeout: 30_000 }).toBe(true);
    expect((await parts()).includes(value)).toBe(false);
  }
});

test("a machine that wakes after its secret was deleted has it no more, and cannot show what it kept of it", async () => {
  const value = "value-that-a-machine-has-kept";
  await mags.secrets.set("kept", value);
  const startup_command = 'echo "kept $(cat /root/kept) given [$S]"';
  const options = { name: "wakes", persistent: true, secrets: { S: "kept" }, startupCommand: startup_command };
  const { requestId } = await mags.runAndWait('printf %s "$S" > /root/kept', options);
  await mags.sleep(requestId);
  await mags.secrets.delete("kept");
  await mags.wake(requestId);
  const said = async () => (await mags.logs(requestId)).map(({ message }) => message);
  await expect.poll(said, { timeout: 30_000 }).toContain("kept *** given []");
  await mags.stop(requestId);
});

describe("the audit log", () => {
  test("tells of each way into a machine, of its doors and its secrets: who, which job, from where; and is a chain that verifies", async () => {
    const { token } = await mags.tokens.create("auditor", { scopes: ["run"] });
    const auditor = new Mags({ apiUrl: daemon.url, apiToken: token });
    const { requestId: id } = await auditor.run("true", { name: "door", persistent: true, secrets: { S: "of-test" } });
    const files = await mkdtemp("/tmp/mags-operate-");
    try {
      await auditor.exec("door", `test "$S" = ${VALUE}`);
      const session = await auditor.session("door", {
        tty: { cols: 80, rows: 24 },
        command: "true",
        onOutput: () => 0,
      });
      await session.exit;
      const ssh = new SshClient(daemon, files);
      await ssh.openDoor(id);
      expect((await ssh.run(["echo in"])).stdout).toBe("in\n");
      await auditor.enableAccess("door", 8000);
      await daemon.http("POST", `/api/v1/mags-jobs/door/access`, { port: 8000, access: "token" });
      await auditor.stop("door");

      const path = join(files, "audit.jsonl");
      expect((await daemon.cli(["audit", "export", path])).exitCode).toBe(0);
      const verified = await daemon.cli(["audit", "verify", path]);
      expect([verified.exitCode, verified.stdout]).toEqual([0, expect.stringContaining("intact")]);
      const text = await readFile(path, "utf8");
      expect(text).not.toContain(VALUE);
      const entries: AuditEntry[] = text
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      const of = entries.filter(({ target, details }) => target === id || details.job === id);
      const address = "127.0.0.1";
      const [ours, admin] = ["auditor", "admin"].map((name) => ({ kind: "token", name }));
      expect(of).toMatchObject([
        { action: "createJob", actor: ours, target: id, address },
        { action: "secret.read", actor: ours, target: "of-test@1", details: { variable: "S" }, address },
        { action: "exec", actor: ours, target: "door", address },
        { action: "openTerminal", actor: ours, target: "door", address },
        { action: "openAccess", actor: admin, target: id, details: { port: 22 }, address },
        { action: "ssh.login", actor: { kind: "gateway", name: expect.stringMatching(/^SHA256:/) }, address },
        { action: "openAccess", actor: ours, target: "door", details: { port: 8000 }, address },
        { action: "openAccess", actor: admin, target: "door", details: { port: 8000, access: "token" }, address },
        { action: "stopJob", actor: ours, target: "door", address },
      ]);
      // One entry taken out: the chain is broken.
      await writeFile(path, text.split("\n").toSpliced(2, 1).join("\n"));
      expect((await daemon.cli(["audit", "verify", path])).exitCode).toBe(1);
    } finally {
      await rm(files, { recursive: true });
    }
  });

  test("has one entry after the other, and no value of a secret", async () => {
    const entries = [];
    for await (const entry of mags.audit.export()) entries.push(entry);
    const actions = new Set(entries.map(({ action }) => action));
    for (const action of ["setSecret", "deleteSecret", "sleepJob", "wakeJob"])
      expect(actions, action).toContain(action);
    expect(JSON.stringify(entries)).not.toContain(VALUE);
    const seqs = entries.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  });
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
