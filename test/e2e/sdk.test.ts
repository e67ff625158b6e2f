/** What the Node SDK does beside jobs: machines, workspaces, addresses. */
import { randomBytes } from "node:crypto";
import { type Mags, MagsError } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;
beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
});
afterAll(() => daemon.remove());

const label = (prefix: string) => `${prefix}-${randomBytes(4).toString("hex")}`;
const refusal = (call: Promise<unknown>) => call.then(() => undefined).catch((error: MagsError) => error.statusCode);

test("a machine is made, found by its workspace, used, synced, reached by a name and stopped", async () => {
  const name = label("box");
  const box = await mags.new(name, { memoryMb: 256, waitTimeout: 60 });
  expect(box).toMatchObject({ status: "running", workspace_id: name, vm_id: expect.any(String) });
  expect((await mags.findJob(name))?.request_id).toBe(box.request_id);
  expect((await mags.exec(name, "echo kept | tee note")).stdout).toBe("kept\n");
  expect(await mags.sync(name)).toMatchObject({ synced: true, workspace_id: name });
  expect(await mags.workspaces.sync(name)).toMatchObject({ synced: true });
  const { url } = await mags.url(name, 8080);
  expect((await mags.status(name)).url).toBe(url);
  expect(await mags.enableAccess(name, 22)).toMatchObject({ ssh_private_key: expect.stringContaining("PRIVATE KEY") });
  const alias = await mags.urlAliasCreate(label("alias"), name, undefined, { port: 8080 });
  expect((await mags.urlAliasList()).aliases.map((entry) => entry.subdomain)).toContain(alias.subdomain);
  await mags.urlAliasDelete(alias.subdomain);
  expect(await refusal(mags.deleteWorkspace(name))).toBe(409);
  await mags.stop(name);
  expect((await mags.findJob(name))?.request_id).toBe(box.request_id);
  expect(await mags.findJob(label("nobody"))).toBeUndefined();
});

test("a workspace is kept, read as a base, forked, rolled back, grown, verified, exported and deleted", async () => {
  const [name, fork] = [label("ws"), label("fork")];
  for (const word of ["one", "two"])
    expect(await mags.runAndWait(`echo ${word} > note`, { workspaceId: name })).toMatchObject({ status: "completed" });
  const read = async (options: object) => (await mags.runAndWait("cat note; echo x > note", options)).stdout;
  expect(await read({ baseWorkspaceId: name })).toBe("two\n");
  expect(await read({ baseWorkspaceId: `${name}@1` })).toBe("one\n");
  expect((await mags.workspaces.versions(name)).versions.map((entry) => entry.version)).toEqual([2, 1]);
  await mags.workspaces.fork(name, fork, { version: 1 });
  expect(await read({ workspaceId: fork })).toBe("one\n");
  await mags.workspaces.rollBack(name, 1);
  expect(await read({ baseWorkspaceId: name })).toBe("one\n");
  await mags.workspaces.deleteVersion(name, 2);
  expect(await mags.resize(name, 3)).toMatchObject({ disk_gb: 3 });
  expect(await mags.workspaces.verify(name)).toMatchObject({ ok: true });
  const pieces: Uint8Array[] = [];
  for await (const piece of await mags.workspaces.export(name)) pieces.push(piece);
  expect(Buffer.concat(pieces).includes("one\n")).toBe(true);
  expect((await mags.listWorkspaces()).workspaces.map((entry) => entry.workspace_id)).toEqual(
    expect.arrayContaining([name, fork]),
  );
  for (const workspace of [name, fork]) await mags.deleteWorkspace(workspace);
  expect(await refusal(mags.workspaces.get(name))).toBe(404);
});

test("usage is summed up, and what cannot be is said with its code", async () => {
  const usage = await mags.usage({ windowDays: 1 });
  expect(usage.total_jobs).toBeGreaterThan(5);
  await expect(mags.usage({ windowDays: 0 })).rejects.toMatchObject({ statusCode: 400, field: "window_days" });
  await expect(mags.usage({ windowDays: 0 })).rejects.toBeInstanceOf(MagsError);
});
