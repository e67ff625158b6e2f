/** Many machines: network namespaces of this one, with cables that are pulled and put back. */
import { cp, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { createLogger } from "@mags/kit";
import type { Membership } from "@mags/protocol";
import { Mags } from "@mags/sdk";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "@mags/server";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, Lan, type Machine, NETWORK } from "../harness/machines.ts";

let dir: string;
let postgres: EmbeddedPostgres;
let lan: Lan;
let control: Machine;
let second: Machine;
let red: Machine;
let blue: Machine;
let mags: Mags;
let mags_token: string;

beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-cluster-");
  postgres = await startEmbeddedPostgres({ dir: join(dir, "postgres"), logger: createLogger("silent") });
  lan = await Lan.create();
  const shared = { DATABASE_URL: postgres.url, MAGS_STORE: join(dir, "objects") };
  const server = { ...shared, MAGS_ROLES: "server,gateway" };
  control = await lan.machine("control", { ...server, MAGS_CLUSTER_LISTEN: `${NETWORK}.11:7073` });
  second = await lan.machine("second", { ...server, MAGS_CLUSTER_LISTEN: `${NETWORK}.12:7073` });
  red = await lan.machine("red", { MAGS_STORE: shared.MAGS_STORE, MAGS_NODE_LABELS: "zone=r,disk=ssd" });
  blue = await lan.machine("blue", { MAGS_STORE: shared.MAGS_STORE, MAGS_NODE_LABELS: "zone=b" });
  await control.start();
  for (const file of ["admin.token", "cluster.token"])
    await cp(join(control.dataDir, file), join(second.dataDir, file));
  await second.start();
  mags_token = (await readFile(join(control.dataDir, "admin.token"), "utf8")).trim();
  mags = new Mags({ apiUrl: `http://${control.address}:7070`, apiToken: mags_token });
}, 180_000);
afterAll(async () => {
  await lan.remove();
  await postgres.close();
  await rm(dir, { recursive: true, force: true });
}, 120_000);

const servers = [`https://${NETWORK}.11:7073`, `https://${NETWORK}.12:7073`];
const state = async (name: string) => (await mags.nodes.list()).nodes.find((node) => node.name === name)?.state;
const membership = async (machine: Machine): Promise<Membership> =>
  JSON.parse(await readFile(join(machine.dataDir, "cluster.json"), "utf8"));

test("a machine joins with a token that works once, for the cluster that made it, and names itself by certificate", async () => {
  for (const machine of [red, blue]) {
    const { stdout: token } = await control.mags("node", "token", "--name", machine.name);
    const wrong = await machine.mags(
      "node",
      "join",
      ...servers,
      "--token",
      token.replace(/\..{43}/, `.${"A".repeat(43)}`),
    );
    expect(wrong.stderr).toContain("is not of the cluster that made the join token");
    const other = await machine.mags("node", "join", ...servers, "--name", "other", "--token", token);
    expect(other.stderr).toContain("for a node of another name");
    const joined = await machine.mags("node", "join", ...servers, "--token", token);
    expect(joined.stderr + joined.stdout).toContain(
      `${machine.name} joined as agent and gateway; the others reach it at ${machine.address}`,
    );
    expect((await machine.mags("node", "join", ...servers, "--token", token)).stderr).toContain("has joined already");
    await machine.start();
  }
  for (const name of ["red", "blue"])
    await eventually(async () => ((await state(name)) === "ready" ? true : undefined));
  const { nodes } = await mags.nodes.list();
  expect(nodes.map(({ name, labels, joined }) => ({ name, labels, joined }))).toEqual([
    { name: "blue", labels: { zone: "b" }, joined: true },
    { name: "red", labels: { zone: "r", disk: "ssd" }, joined: true },
  ]);
  expect((await control.mags("node", "list")).stdout).toMatch(/^NODE +STATE .*\nblue +ready .*zone=b.*\nred +ready /);
}, 120_000);

test("between machines nothing is said in the clear or to strangers, and a machine speaks for itself only", async () => {
  const nodeToken = (await readFile(join(control.dataDir, "node.token"), "utf8")).trim();
  const renew = (headers: Record<string, string>) =>
    fetch(`http://${control.address}:7070/node/v1/renew`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ node: "red", boot_id: crypto.randomUUID(), jobs: [] }),
    });
  const plain = await renew({ authorization: `Bearer ${nodeToken}` });
  expect(plain.status).toBe(401);
  expect(await plain.text()).toContain("over TLS only");
  const { token, authority, certificate, key } = await membership(red);
  expect((await renew({ authorization: `Bearer ${token}` })).status).toBe(401);
  const { rows } = await nodesInDatabase();
  expect(rows.every(({ address }) => address.startsWith(`https://${NETWORK}.`))).toBe(true);
  const agent = Number(new URL(rows.find(({ name }) => name === "blue")?.address ?? "").port);
  const ask = (tls: object) =>
    new Promise<string>((resolve) => {
      const socket = connect({
        host: blue.address,
        port: agent,
        ca: authority,
        checkServerIdentity: () => undefined,
        ...tls,
      });
      socket.once("error", (error) => resolve(String((error as NodeJS.ErrnoException).code)));
      socket.once("close", () => resolve("closed"));
      socket.once("data", (data) => resolve(String(data).split("\r\n")[0] ?? ""));
      socket.write("GET /agent/v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    });
  expect(await ask({})).toMatch(/^ERR_SSL|^ECONNRESET|^closed/);
  expect(await ask({ cert: certificate, key })).toBe("HTTP/1.1 200 OK");
  const agentOnly = await joinByHand("lone", ["agent"]);
  expect(await ask({ cert: agentOnly.certificate, key: agentOnly.key })).toMatch(/^ERR_SSL|^ECONNRESET|^closed/);
  const forged = await renewOverTls("blue", token);
  expect(forged.stdout).toContain("may not speak for blue");
  await mags.nodes.remove("lone").catch(() => undefined);
}, 180_000);

test("API, URLs and SSH answer from every server and gateway, wherever the sandbox is", async () => {
  await mags.nodes.drain("blue");
  const { requestId } = await mags.run("cd /root && echo from-red >index.html && exec python3 -m http.server 8080", {
    name: "web",
    persistent: true,
    noSleep: true,
    workspaceId: "site",
    startupCommand: "cd /root && exec python3 -m http.server 8080",
  });
  await eventually(async () => ((await mags.status(requestId)).status === "running" ? true : undefined));
  await mags.nodes.undrain("blue");
  expect((await mags.status(requestId)).ran_by?.node).toBe("red");
  const { url } = await mags.access.url(requestId, 8080);
  for (const machine of [control, second, red, blue])
    expect((await eventually(() => visit(machine, url))).value).toBe("from-red\n");
  const there = new Mags({ apiUrl: `http://${second.address}:7070`, apiToken: mags_token });
  expect((await there.exec(requestId, "hostname; cat /root/index.html")).stdout).toContain("from-red");
  expect((await there.logs(requestId)).length).toBeGreaterThan(0);
  const { ssh_private_key, ssh_user } = await mags.access.ssh(requestId);
  await writeFile(join(dir, "key"), ssh_private_key, { mode: 0o600 });
  const options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i", join(dir, "key")];
  for (const machine of [control, blue]) {
    const said = await second.run(
      "ssh",
      ...options,
      "-p",
      "7072",
      `${ssh_user}@${machine.address}`,
      "cat /root/index.html",
    );
    expect(said.stdout, String(said.stderr)).toBe("from-red");
  }
  await mags.sync(requestId);
}, 120_000);

test("a node that is drained takes nothing, and its machines go on elsewhere with their files", async () => {
  const job = await mags.run("echo here >/root/file; echo said before", {
    name: "moving",
    persistent: true,
    noSleep: true,
    workspaceId: "moving",
    nodeLabels: { zone: "b" },
  });
  await eventually(async () => ((await mags.status(job.requestId)).exit_code === 0 ? true : undefined));
  expect((await control.mags("node", "drain", "blue", "--wait")).stdout).toMatch(/^blue is drained/);
  const { requestId } = await mags.run("true", { nodeLabels: { zone: "b" } });
  const kept = await mags.run("true");
  expect((await mags.wait(kept.requestId)).ran_by?.node).toBe("red");
  expect((await mags.status(requestId)).status).toBe("accepted");
  expect((await mags.nodes.undrain("blue")).state).toBe("ready");
  expect(await mags.wait(requestId)).toMatchObject({ status: "completed" });
  expect((await mags.exec(job.requestId, "cat /root/file")).stdout).toBe("here\n");
  expect((await mags.logs(job.requestId)).map(({ message }) => message)).toEqual(
    expect.arrayContaining(["said before", expect.stringMatching(/^asleep: /), expect.stringMatching(/^awake: /)]),
  );
  await mags.stop(job.requestId);
}, 120_000);

async function pem(text: string): Promise<string> {
  await writeFile(join(dir, "authority.pem"), text);
  return join(dir, "authority.pem");
}

async function joinByHand(node: string, roles: ("agent" | "gateway")[]): Promise<Membership> {
  const { join_token } = await mags.nodes.createJoinToken({ roles });
  const below = await mkdtemp(join(dir, "member-"));
  const joined = await red.run(
    "env",
    `MAGS_DATA_DIR=${below}`,
    "cli/bin/mags",
    "node",
    "join",
    servers[0] ?? "",
    "--name",
    node,
    "--token",
    join_token,
  );
  expect(joined.stdout).toContain(`${node} joined as ${roles.join(" and ")}`);
  return JSON.parse(await readFile(join(below, "cluster.json"), "utf8"));
}

async function nodesInDatabase() {
  const { default: pg } = await import("pg");
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    return await client.query<{ name: string; address: string }>("SELECT name, address FROM nodes ORDER BY name");
  } finally {
    await client.end();
  }
}

test("a machine is lost: its no_sleep URL answers from another one within 15 s, with its files; other jobs end and say why", async () => {
  expect((await mags.status("web")).ran_by?.node).toBe("red");
  const { url } = await mags.access.url("web", 8080);
  const lost = await mags.run("echo said before; sleep 600", { nodeLabels: { disk: "ssd" } });
  await eventually(async () => ((await mags.status(lost.requestId)).status === "running" ? true : undefined));
  // What was said a few seconds before the loss is kept.
  const copies = join(dir, "objects", "objects", "orgs", "default", "logs", lost.requestId);
  await eventually(() => stat(copies).catch(() => undefined));
  await mags.nodes.drain("blue");
  const retried = await mags.run("sleep 5; echo done", { nodeRetries: 1, timeout: 600 });
  await eventually(async () => ((await mags.status(retried.requestId)).status === "running" ? true : undefined));
  await mags.nodes.undrain("blue");
  await red.die();
  const [answers, ended] = await Promise.all([
    eventually(() => visit(blue, url), 60),
    eventually(
      async () => ((await mags.status(lost.requestId)).status === "error" ? mags.status(lost.requestId) : undefined),
      60,
    ),
  ]);
  process.stdout.write(
    `a lost node: its URL answers from another after ${Math.round(answers.ms)} ms, a job on it is given up after ${Math.round(ended.ms)} ms\n`,
  );
  expect(answers.value).toBe("from-red\n");
  expect(await ended.value).toMatchObject({
    reason: "node_lost",
    error: expect.stringContaining("Node red did not renew its lease"),
  });
  expect((await mags.status("web")).ran_by?.node).toBe("blue");
  const again = await mags.wait(retried.requestId, { waitTimeout: 120 });
  expect(again).toMatchObject({ status: "completed", exit_code: 0, lost_attempts: [{ node: "red" }] });
  expect(again.ran_by?.node).toBe("blue");
  const log = await mags.logs(lost.requestId);
  expect(log.map(({ message }) => message)).toContain("said before");
  expect(await Array.fromAsync(mags.followLogs(lost.requestId))).toEqual([
    ...log.map((entry) => expect.objectContaining({ type: "entry", ...entry })),
    expect.objectContaining({ type: "end", status: "error", reason: "node_lost" }),
  ]);
  expect(answers.ms).toBeLessThan(15_000 * patience);
  expect(ended.ms).toBeLessThan(15_000 * patience);
}, 180_000);

test("a machine that comes back from a partition finds its leases fenced off, and ends what it still runs", async () => {
  await red.heal();
  await red.start();
  await eventually(async () => ((await state("red")) === "ready" ? true : undefined));
  const web = (await mags.status("web")).request_id;
  const { value: before } = await eventually(async () => {
    const there = await blue.sandboxes();
    return there.length === 1 ? there : undefined;
  });
  await blue.cut();
  const { url } = await mags.access.url("web", 8080);
  await eventually(() => visit(red, url), 120);
  expect(await blue.sandboxes()).toEqual(before);
  expect((await mags.exec(web, "echo newer >/root/index.html")).exitCode).toBe(0);
  await mags.sync(web);
  await blue.heal();
  await eventually(async () => ((await blue.sandboxes()).length === 0 ? true : undefined), 120);
  await eventually(async () => ((await state("blue")) === "ready" ? true : undefined));
  expect((await mags.status(web)).ran_by?.node).toBe("red");
  expect((await eventually(() => visit(blue, url))).value).toBe("newer\n");
  await mags.stop(web);
}, 400_000);

test("a node that was removed can do nothing any more, and its name is free again", async () => {
  await eventually(async () => ((await mags.nodes.list()).nodes.every(({ jobs }) => jobs === 0) ? true : undefined));
  const { token } = await membership(blue);
  expect((await blue.mags("node", "leave")).stdout).toBe("blue left the cluster");
  expect((await mags.nodes.list()).nodes.map(({ name }) => name)).toEqual(["red"]);
  const { requestId } = await mags.run("true");
  expect((await mags.wait(requestId)).ran_by?.node).toBe("red");
  expect((await renewOverTls("blue", token)).stdout).toContain("the machine was removed");
  await blue.stop();
  const again = await control.mags("node", "token");
  expect((await blue.mags("node", "join", ...servers, "--token", again.stdout)).stdout).toContain("blue joined");
}, 180_000);

/** Other work on the machine slows everything down; alone it is 1. */
const patience = Math.max(1, (loadavg()[0] ?? 1) / 2);

/** A heartbeat in the name of `node`, with the token of a machine. */
async function renewOverTls(node: string, token: string) {
  const { authority } = await membership(red);
  const url = "https://server.mags.internal:7073/node/v1/renew";
  const connectTo = `server.mags.internal:7073:${NETWORK}.11:7073`;
  const body = JSON.stringify({ node, boot_id: crypto.randomUUID(), jobs: [] });
  const headers = ["-H", `authorization: Bearer ${token}`, "-H", "content-type: application/json"];
  return red.run(
    "curl",
    "-s",
    "--cacert",
    await pem(authority),
    "--connect-to",
    connectTo,
    url,
    ...headers,
    "-d",
    body,
  );
}

/** What a visitor of a URL gets from one machine's gateway. */
async function visit(machine: Machine, url: string): Promise<string> {
  const said = await machine.run(
    "curl",
    "-sf",
    "-m",
    "2",
    "-H",
    `host: ${new URL(url).host}`,
    `http://${machine.address}:7071/`,
  );
  if (said.exitCode !== 0) throw new Error(`curl ended with ${said.exitCode} on ${machine.name}`);
  return `${said.stdout}\n`;
}
