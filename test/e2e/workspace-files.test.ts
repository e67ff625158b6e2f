/** Files of workspaces that no job has up, and the ways in and out, with a whole Mags. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { run as runCommand } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";
import { run, start, until } from "../harness/workspaces.ts";

let daemon: Daemon;
let dir: string;
beforeAll(async () => {
  daemon = await Daemon.start();
  dir = await mkdtemp(join(tmpdir(), "mags-files-"));
});
afterAll(async () => {
  await daemon.remove();
  await rm(dir, { recursive: true });
});

async function api(method: string, path: string, body?: string | Uint8Array<ArrayBuffer>): Promise<Response> {
  const headers = { authorization: `Bearer ${await daemon.token()}` };
  return fetch(`${daemon.url}/api/v1/mags-workspaces/${path}`, {
    method,
    headers,
    body,
    duplex: "half",
  } as RequestInit);
}
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
const answer = async (response: Response): Promise<any> => response.json();
const versions = async (name: string): Promise<{ version: number; reason: string; request_id: string }[]> =>
  (await answer(await api("GET", `${name}/versions`))).versions;

test("a file of a workspace is read, listed and written while no job is there, and the next job finds it", async () => {
  await run(daemon, { workspace_id: "app", script: "echo one >/root/file; ln -s /root/file /root/link" });
  const read = await api("GET", "app/files?path=/root/file");
  expect([read.status, read.headers.get("content-length"), await read.text()]).toEqual([200, "4", "one\n"]);
  const { entries } = await answer(await api("GET", "app/files/list?path=/root"));
  expect(entries.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(["file", "link"]));
  const written = await api("PUT", "app/files?path=/srv/new/file&parents=1&mode=600", "two\n");
  expect([written.status, await written.json()]).toEqual([200, { path: "/srv/new/file" }]);
  expect((await versions("app"))[0]).toMatchObject({ version: 2, reason: "stop" });
  expect((await api("GET", "app/files?path=/srv/new/file&version=1")).status).toBe(404);
  const next = await run(daemon, { workspace_id: "app", script: "cat /srv/new/file; stat -c %a /srv/new/file" });
  expect(next.stdout).toEqual(["two", "600"]);
});

test("what cannot be read or written is said, and changes nothing", async () => {
  await run(daemon, { workspace_id: "still", script: "mkdir /root/dir" });
  expect((await api("GET", "still/files?path=/root/none")).status).toBe(404);
  expect((await api("PUT", "still/files?path=/root/dir", "x")).status).toBe(409);
  for (const [method, path] of [
    ["GET", "files?path=/root/file"],
    ["PUT", "files?path=/root/file"],
    ["POST", "import"],
  ] as const)
    expect((await api(method, `none/${path}`, method === "GET" ? undefined : "x")).status, path).toBe(404);
  expect((await versions("still")).map(({ version }) => version)).toEqual([1]);
  const again = await run(daemon, { workspace_id: "still", script: "ls /root" });
  expect(again).toMatchObject({ status: "completed", stdout: ["dir"] });
});

test("files of a machine that is up are read and written there", async () => {
  const id = await start(daemon, { workspace_id: "up", persistent: true, script: "echo live >/root/file" });
  await until(daemon, id, ({ exit_code }) => exit_code === 0);
  expect(await (await api("GET", "up/files?path=/root/file")).text()).toBe("live\n");
  expect((await api("PUT", "up/files?path=/root/other", "written")).status).toBe(200);
  const guest = await run(daemon, { workspace_id: "up", script: "cat /root/other" });
  expect(guest).toMatchObject({ host_job: id, stdout: ["written"] });
  await daemon.http("POST", `/api/v1/mags-jobs/${id}/stop`);
});

test("a tar becomes a workspace, and a workspace a tar; one that is cut or no tar changes nothing", async () => {
  await writeFile(join(dir, "hello"), "imported\n");
  const tar = join(dir, "in.tar");
  await runCommand("tar", ["-cf", tar, "-C", dir, "hello"]);
  const imported = await api("POST", "brought/import?create=1&path=/opt/app", await readFile(tar));
  expect([imported.status, await imported.json()]).toEqual([200, { path: "/opt/app" }]);
  expect((await run(daemon, { workspace_id: "brought", script: "cat /opt/app/hello" })).stdout).toEqual(["imported"]);
  const before = (await versions("brought")).length;
  expect((await api("POST", "brought/import", "this is no tar at all".repeat(100))).status).toBe(409);
  expect(await versions("brought")).toHaveLength(before);
  const exported = await api("GET", "brought/export");
  expect(exported.status).toBe(200);
  const out = join(dir, "out.tar");
  await writeFile(out, Buffer.from(await exported.arrayBuffer()));
  expect(await runCommand("tar", ["-xOf", out, "--wildcards", "*opt/app/hello"])).toContain("imported");
  const { body } = await daemon.http("POST", "/api/v1/mags-workspaces/brought/verify", {});
  expect(body).toMatchObject({ ok: true, bad: [] });
});

test("the SDK reads, writes and imports", async () => {
  const { workspaces } = await daemon.client();
  const tar = join(dir, "sdk.tar");
  await writeFile(join(dir, "other"), "from the tar");
  await runCommand("tar", ["-cf", tar, "-C", dir, "other"]);
  await workspaces.import("sdk", createReadStream(tar), { path: "/srv" });
  await workspaces.writeFile("sdk", "/srv/file", "written");
  expect(new TextDecoder().decode(await workspaces.readFile("sdk", "/srv/file"))).toBe("written");
  const { stdout } = await run(daemon, { base_workspace_id: "sdk", script: "cat /srv/file; echo; cat /srv/other" });
  expect(stdout).toEqual(["written", "from the tar"]);
  await expect(workspaces.readFile("sdk", "/none")).rejects.toMatchObject({ statusCode: 404 });
});

test("files are written in the machine of a job that runs, and into a version of their own when it has ended", async () => {
  const id = await start(daemon, { workspace_id: "busy", script: "until [ -e /root/go ]; do sleep 0.1; done" });
  await until(daemon, id, ({ status }) => status === "running");
  const during = await api("PUT", "busy/files?path=/root/go", "x");
  expect([during.status, await answer(during)]).toEqual([200, { path: "/root/go" }]);
  expect(await until(daemon, id, ({ status }) => status === "completed")).toMatchObject({ exit_code: 0 });
  const after = await api("PUT", "busy/files?path=/root/third", "x");
  expect([after.status, await answer(after)]).toEqual([200, { path: "/root/third" }]);
});

test("a write that comes while the end of a job is being made durable waits for that, and is in no machine that ends", async () => {
  const script = "head -c 48M /dev/urandom >/root/large";
  const id = await start(daemon, { workspace_id: "ending", script });
  await until(daemon, id, ({ exit_code }) => exit_code === 0);
  const written = await api("PUT", "ending/files?path=/root/after", "x");
  expect([written.status, await answer(written)]).toEqual([200, { path: "/root/after" }]);
  expect((await versions("ending")).map(({ reason }) => reason)).toEqual(["stop", "completion"]);
});

test("a script that was cut off and had written nothing leaves nothing to be made durable", async () => {
  await run(daemon, { workspace_id: "clean", script: "true" });
  for (let round = 0; round < 3; round++) {
    await run(daemon, { workspace_id: "clean", script: "sleep 30", timeout: 1 });
    const synced = await daemon.http("POST", "/api/v1/mags-workspaces/clean/sync");
    expect([synced.status, synced.body.message]).toEqual([200, "nothing has changed since the latest version"]);
  }
});

test("each export becomes a workspace like the one it is of, deletions included; one that is not whole becomes none", async () => {
  const script =
    "rm /etc/issue; rm -r /usr/share/doc; mkdir /usr/share/doc; echo own >/srv/own; chown 5:6 /srv/own; ln /srv/own /srv/same";
  await run(daemon, { workspace_id: "original", disk_gb: 0.2, script });
  const look = "ls /etc/issue 2>&1; ls /usr/share/doc; cat /srv/own; stat -c '%u %g %h' /srv/own";
  const seen = await run(daemon, { base_workspace_id: "original", script: look });
  for (const format of ["tar", "ext4", "oci"]) {
    const bytes = new Uint8Array(await (await api("GET", `original/export?format=${format}`)).arrayBuffer());
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const cut = await api("POST", `cut-${format}/import?format=${format}&sha256=${sha256}`, bytes.subarray(0, -4096));
    expect([cut.status, (await answer(cut)).error.code], format).toEqual([400, "invalid_request"]);
    expect((await api("GET", `cut-${format}`)).status).toBe(404);
    const imported = await api("POST", `from-${format}/import?format=${format}&sha256=${sha256}`, bytes);
    expect([imported.status, await answer(imported)], format).toEqual([200, { path: "/" }]);
    expect(await versions(`from-${format}`)).toMatchObject([{ version: 1, reason: "import" }]);
    const copy = await run(daemon, { workspace_id: `from-${format}`, script: look });
    expect(copy, format).toMatchObject({ exit_code: seen.exit_code, stdout: seen.stdout });
    const again = await api("POST", `from-${format}/import?format=${format}`, bytes);
    expect([again.status, (await answer(again)).error.code]).toEqual([409, "conflict"]);
  }
  expect((await answer(await api("GET", "from-oci"))).disk_gb).toBe(2);
});

test.each([
  ["nothing", "a?format=tar", "", 400],
  ["no export", "a?format=oci", "x".repeat(5000), 400],
  ["a bad name", ".a?format=tar", "x", 400],
  ["an unknown format", "a?format=zip", "x", 400],
  ["a place in an export", "a?format=tar&path=/srv", "x", 400],
  ["a disk of no size", "a?format=tar&disk_gb=0", "x", 400],
])("an import of %s is refused and makes nothing", async (_, path, body, status) => {
  const [name = "", query = ""] = path.split("?");
  const refused = await api("POST", `${name}/import?${query}`, body);
  expect([refused.status, (await answer(refused)).error.code]).toEqual([status, "invalid_request"]);
  expect((await api("GET", name)).status).toBe(404);
});

test("a raw disk is taken from admins only", async () => {
  const made = await daemon.http("POST", "/api/v1/tokens", { name: "runs", scopes: ["run"] });
  const headers = { authorization: `Bearer ${made.body.token}`, "content-type": "application/octet-stream" };
  const refused = await daemon.http("POST", "/api/v1/mags-workspaces/raw/import?format=ext4", "x", headers);
  expect([refused.status, refused.body.error.code]).toEqual([403, "forbidden"]);
});

test("the command line writes a manifest beside an export, and takes no file that is another", async () => {
  await run(daemon, { workspace_id: "packed", disk_gb: 0.2, script: "echo packed >/srv/file" });
  const file = join(dir, "packed.oci");
  const exported = await daemon.cli(["workspace", "export", "packed", "--format", "oci", "-o", file]);
  expect(exported.exitCode).toBe(0);
  expect(JSON.parse(await readFile(`${file}.json`, "utf8"))).toMatchObject({ format: 1, kind: "oci" });
  const imported = await daemon.cli(["workspace", "import", "unpacked", file, "--format", "oci", "--disk", "0.3"]);
  expect([imported.exitCode, imported.stdout]).toEqual([0, expect.stringContaining("checked against its manifest")]);
  const { stdout } = await run(daemon, { workspace_id: "unpacked", script: "cat /srv/file" });
  expect(stdout).toEqual(["packed"]);
  const other = { ...JSON.parse(await readFile(`${file}.json`, "utf8")), sha256: "0".repeat(64) };
  await writeFile(`${file}.json`, JSON.stringify(other));
  const refused = await daemon.cli(["workspace", "import", "other", file, "--format", "oci"]);
  expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("not the one of its manifest")]);
});

test("a write whose server is killed in the middle leaves the workspace free and as it was", async () => {
  await run(daemon, { workspace_id: "torn", script: "echo whole >/srv/file" });
  const before = await versions("torn");
  for (const name of ["a", "b"]) await writeFile(join(dir, name), Buffer.alloc(1 << 20, name));
  const tar = join(dir, "torn.tar");
  await runCommand("tar", ["-cf", tar, "-C", dir, "a", "b"]);
  const body = new ReadableStream({
    start: async (controller) => controller.enqueue((await readFile(tar)).subarray(0, (1 << 20) + 200_000)),
  });
  const headers = { authorization: `Bearer ${await daemon.token()}` };
  const url = `${daemon.url}/api/v1/mags-workspaces/torn/import?path=/srv`;
  const cut = fetch(url, { method: "POST", headers, body, duplex: "half" } as RequestInit).catch((error) => error);
  const there = async () => (await api("GET", "torn/files?path=/srv/a").catch(() => undefined))?.status;
  while ((await there()) !== 200) await delay(100);
  await daemon.kill();
  expect(await cut).toBeInstanceOf(Error);
  await daemon.start();
  const next = await run(daemon, { workspace_id: "torn", script: "ls /srv" });
  expect(next.stdout).toEqual(["file"]);
  const others = (await versions("torn")).filter(({ request_id }) => request_id !== next.id);
  expect(others.map(({ version }) => version)).toEqual(before.map(({ version }) => version));
  expect((await api("GET", "torn/files?path=/srv/a")).status).toBe(404);
});
