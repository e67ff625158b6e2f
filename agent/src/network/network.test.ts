import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Cleanup, createLogger, run, spawn } from "@mags/kit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Network, type NetworkOptions, type NetworkSlot } from "./index.ts";
import { CLOSED, HOST, PUBLIC, World } from "./testing/world.ts";

const world = new World();
const cleanup = new Cleanup();
const logger = createLogger("silent");
let network: Network;
let slot: NetworkSlot;
let other: NetworkSlot;
let undo: (() => Promise<unknown>)[] = [];

const options = (instance: string, more: Partial<NetworkOptions> = {}): NetworkOptions => ({
  instance,
  logger,
  netns: world.netns,
  resolvers: ["10.1.2.3"],
  ...more,
});
const links = () => world.onHost("ip", "-o", "link", "show", "type", "veth");

beforeAll(async () => {
  await world.open();
  network = await Network.open(options("aaaa1111"));
  [slot, other] = await Promise.all([network.acquire(cleanup), network.acquire(cleanup)]);
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
  undo = [];
});
afterAll(async () => {
  await cleanup.run();
  await world.close();
});

test("a sandbox reaches the internet, which sees the host's address", async () => {
  expect(await world.get(slot.netnsPath, PUBLIC)).toMatch(new RegExp(`${HOST}$`));
});

test("the host reaches a server in a sandbox, the internet does not", async () => {
  const server = spawn(
    "nsenter",
    [`--net=${slot.netnsPath}`, process.execPath, join(import.meta.dirname, "testing/server.ts"), "80"],
    { reject: false },
  );
  undo.push(async () => {
    server.kill();
    await server;
  });
  await new Promise((resolve) => server.stdout?.once("data", resolve));
  expect(await world.get(world.netns, slot.address)).toMatch(new RegExp(`${slot.gateway}$`));
  await run("ip", ["-n", `${world.name}-net`, "route", "add", `${slot.address}/32`, "via", HOST]);
  expect(await world.get(`/run/netns/${world.name}-net`, slot.address)).toBeUndefined();
  // The neighbour fails although someone listens there.
  expect(await world.get(other.netnsPath, slot.address)).toBeUndefined();
});

test("private, metadata and other special addresses are closed to a sandbox", async () => {
  const host = world.netns;
  const seen = async (netns: string) =>
    (await Promise.all(CLOSED.map((address) => world.get(netns, address)))).map(Boolean);
  expect(await seen(host)).toEqual(CLOSED.map(() => true));
  expect(await seen(slot.netnsPath)).toEqual(CLOSED.map(() => false));
});

test("no port of the host is open to a sandbox, by whichever address", async () => {
  const doors = [slot.gateway, other.gateway, HOST].flatMap((address) => [80, 8080].map((port) => ({ address, port })));
  expect(await Promise.all(doors.map(({ address, port }) => world.get(slot.netnsPath, address, port)))).toEqual(
    doors.map(() => undefined),
  );
  await world.inside(slot.netnsPath, "ip", "route", "add", "127.0.0.53/32", "via", slot.gateway);
  expect(await world.ask(slot.netnsPath, "loopback?", "127.0.0.53")).toBe("silence");
});

test("the resolver is reached on its port, though its address is private", async () => {
  expect(network.resolvConf()).toContain("nameserver 10.1.2.3\n");
  expect(await world.ask(slot.netnsPath, "who", "10.1.2.3")).toBe("answer to who");
  expect(await world.ask(slot.netnsPath, "who", "192.168.7.7")).toBe("silence");
});

test("packets with another's source address do not leave", async () => {
  // Of nobody, of the neighbour, of the own gateway.
  for (const source of ["203.0.113.99", other.address, slot.gateway]) {
    await world.inside(slot.netnsPath, "ip", "addr", "add", `${source}/32`, "dev", "eth0");
    await world.ask(slot.netnsPath, `spoof-${source}`, PUBLIC, 53, source);
    await world.inside(slot.netnsPath, "ip", "addr", "del", `${source}/32`, "dev", "eth0");
  }
  expect(await world.ask(slot.netnsPath, "honest", PUBLIC, 53, slot.address)).toBe("answer to honest");
  expect(world.arrived.filter((line) => line.startsWith("spoof"))).toEqual([]);
});

test("what leaves for other hosts is counted by the sandbox, what is dropped or stays here is not", async () => {
  const own = new Cleanup();
  undo.push(() => own.run());
  const mine = await network.acquire(own);
  expect(await mine.sent()).toBe(0);
  const say = (address: string) => world.ask(mine.netnsPath, "x".repeat(1000), address);
  await world.get(mine.netnsPath, "192.168.7.7");
  await world.get(mine.netnsPath, HOST);
  await say("192.168.7.7");
  expect(await mine.sent()).toBe(0);
  await say(PUBLIC);
  // With the heads of UDP and IP.
  const once = 1028;
  expect(await mine.sent()).toBe(once);
  // Another process takes up the agent's place: it goes on from there.
  const next = await Network.open(options("aaaa1111"));
  await say(PUBLIC);
  expect(await Promise.all([next.adopt(mine.id).sent(), mine.sent()])).toEqual([2 * once, 2 * once]);
  await own.run();
  expect(await mine.sent()).toBe(0);
});

test("IPv6 is off in a sandbox, and low ports need no privilege", async () => {
  const settings = ["/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "/proc/sys/net/ipv4/ip_unprivileged_port_start"];
  expect(await world.inside(slot.netnsPath, "cat", ...settings)).toBe("1\n0");
});

test("two agents share the range without disturbing each other", async () => {
  const second = await Network.open(
    options("bbbb2222", {
      allow: [
        { address: "192.168.7.7", port: 80 },
        { address: HOST, port: 8080 },
      ],
    }),
  );
  const own = new Cleanup();
  undo.push(() => own.run());
  const theirs = await Promise.all([second.acquire(own), second.acquire(own)]);
  const addresses = [slot, other, ...theirs].map(({ address }) => address);
  expect(new Set(addresses).size).toBe(4);
  const [mine] = theirs as [NetworkSlot, NetworkSlot];
  expect(await world.get(mine.netnsPath, "192.168.7.7"), "opened address").toBeDefined();
  expect(await world.get(mine.netnsPath, HOST, 8080), "opened port of the host").toBeDefined();
  expect(await world.get(mine.netnsPath, HOST, 80)).toBeUndefined();
  expect(await world.get(mine.netnsPath, slot.address)).toBeUndefined();
  expect(await second.reclaim(new Set())).toBe(0);
  await own.run();
  await second.close();
  expect(await world.get(slot.netnsPath, PUBLIC)).toBeDefined();
  expect(await world.get(slot.netnsPath, "192.168.7.7")).toBeUndefined();
});

test("agents that take a number in the same moment get different ones", async () => {
  const agents = await Promise.all(["cccc3333", "dddd4444"].map((instance) => Network.open(options(instance))));
  const own = new Cleanup();
  undo.push(...agents.map((agent) => () => agent.close()));
  undo.push(() => own.run());
  const slots = await Promise.all([...agents, ...agents, ...agents].map((agent) => agent.acquire(own)));
  expect(new Set(slots.map(({ address }) => address)).size).toBe(6);
});

test("a resolver on the host's loopback is reached through an address of its own", async () => {
  const local = await Network.open(options("eeee5555", { resolvers: ["127.0.0.53"] }));
  const own = new Cleanup();
  undo.push(
    () => local.close(),
    () => own.run(),
  );
  const mine = await local.acquire(own);
  const nameserver = /nameserver (\S+)/.exec(local.resolvConf())?.[1] as string;
  expect(nameserver).toBe("10.213.255.254");
  expect(await world.ask(mine.netnsPath, "local", nameserver)).toBe("answer to local");
  expect(await world.ask(mine.netnsPath, "direct", HOST)).toBe("silence");
  expect(await world.get(mine.netnsPath, nameserver)).toBeUndefined();
});

test("release leaves nothing, and closing the last takes the rules away", async () => {
  const third = await Network.open(options("ffff6666"));
  const own = new Cleanup();
  const gone = await third.acquire(own);
  await own.run();
  expect(await links()).not.toContain(gone.hostInterface);
  expect(await readdir("/run/netns")).not.toContain("mags-ffff6666-0");
  await third.close();
  expect(await world.onHost("nft", "list", "tables")).not.toContain("ffff6666");
  await gone.release();
});

test("after kill -9 a used slot lives on and is adopted, an unused one leaves nothing that reclaim does not take", async () => {
  const script = [process.execPath, join(import.meta.dirname, "testing/agent.ts"), "9999abcd", world.netns];
  const agent = spawn("unshare", ["--mount", "--propagation", "slave", ...script], { reject: false });
  const line = await new Promise<string>((resolve) => agent.stdout?.once("data", (data) => resolve(String(data))));
  const { id, holder } = JSON.parse(line) as { id: string; holder: number };
  undo.push(async () => void process.kill(holder, "SIGKILL"));
  agent.kill("SIGKILL");
  await agent;
  const next = await Network.open(options("9999abcd"));
  const adopted = next.adopt(id);
  expect(await world.get(`/proc/${holder}/ns/net`, PUBLIC)).toBeDefined();
  expect(await next.reclaim(new Set([id]))).toBe(1);
  expect(await world.get(`/proc/${holder}/ns/net`, PUBLIC)).toBeDefined();
  const own = new Cleanup();
  const fresh = await next.acquire(own);
  expect(fresh.address).not.toBe(adopted.address);
  await own.run();
  await adopted.release();
  expect(await world.get(`/proc/${holder}/ns/net`, PUBLIC)).toBeUndefined();
  expect(await next.reclaim(new Set())).toBe(0);
  await next.close();
});
