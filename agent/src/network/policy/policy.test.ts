import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Cleanup, createLogger, type Running, run, spawn } from "@mags/kit";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { Network, type NetworkSlot } from "../index.ts";
import { PUBLIC, World } from "../testing/world.ts";
import { allowedPorts } from "./resolver.ts";

/** more of the test's internet */
const OTHER = "203.0.113.11";
const THIRD = "203.0.113.12";
const NAMES = "203.0.113.53";
const PRIVATE = "10.1.2.3";
const table = {
  "good.test": [["A", PUBLIC, 1]],
  "www.good.test": [
    ["CNAME", "cdn.test", 300],
    ["A", OTHER, 300],
  ],
  "bad.test": [["A", THIRD, 300]],
  "inside.test": [["A", PRIVATE, 300]],
};

const world = new World();
const logger = createLogger("silent");
const asked: string[] = [];
let names: Running;
let network: Network;
let slot: NetworkSlot;
let cleanup: Cleanup;

const open = (instance = "aaaapo11") => Network.open({ instance, logger, netns: world.netns, resolvers: [NAMES] });

beforeAll(async () => {
  await world.open();
  for (const address of [OTHER, THIRD, NAMES])
    await run("ip", ["-n", `${world.name}-net`, "addr", "add", `${address}/32`, "dev", "lo"]);
  const script = join(import.meta.dirname, "../testing/names.ts");
  const args = [`--net=/run/netns/${world.name}-net`, process.execPath, script, NAMES, JSON.stringify(table)];
  names = spawn("nsenter", args, { reject: false, buffer: false });
  await new Promise<void>((resolve) => {
    names.stdout?.on("data", (data) => {
      for (const line of String(data).split("\n")) {
        if (line === "ready") resolve();
        if (line.startsWith("asked ")) asked.push(line.slice("asked ".length));
      }
    });
  });
});
beforeEach(async () => {
  cleanup = new Cleanup();
  network = await open();
  slot = await network.acquire(cleanup);
});
afterEach(async () => {
  await cleanup.run();
  await network.close();
});
afterAll(async () => {
  names.kill("SIGKILL");
  await names;
  await world.close();
});

const reaches = async (address: string, port = 80) => (await world.get(slot.netnsPath, address, port)) !== undefined;
const lookup = async (name: string, type = "A", server = NAMES): Promise<unknown> => {
  const script = join(import.meta.dirname, "../testing/lookup.ts");
  return JSON.parse(await world.inside(slot.netnsPath, process.execPath, script, server, name, type));
};

test("with none a sandbox reaches nothing, not even the DNS, and another is as before", async () => {
  const other = await network.acquire(cleanup);
  expect(await reaches(PUBLIC)).toBe(true);
  await slot.restrict("none");
  expect([await reaches(PUBLIC), await lookup("good.test")]).toEqual([false, expect.stringMatching(/^E/)]);
  expect(await world.get(other.netnsPath, PUBLIC)).toBeDefined();
});

test("addresses of a list are reached on their ports, and nothing else is", async () => {
  await slot.restrict({ allow: [`${PUBLIC}:80`, "203.0.113.12/31", `${PRIVATE}:80`] });
  expect([await reaches(PUBLIC), await reaches(OTHER), await reaches(THIRD)]).toEqual([true, false, true]);
  expect(await reaches(PRIVATE), "a list opens no closed range").toBe(false);
  await slot.restrict({ allow: [`${PUBLIC}:81`] });
  expect([await reaches(PUBLIC), await reaches(THIRD)]).toEqual([false, false]);
});

test("a name of a list opens the addresses that its answer has, and no other name is answered", async () => {
  await slot.restrict({ allow: ["good.test", "*.good.test:80", "inside.test"] });
  expect(await reaches(PUBLIC), "before the name was asked for").toBe(false);
  expect(await lookup("good.test")).toEqual([PUBLIC]);
  expect(await lookup("WWW.good.test")).toEqual([OTHER]);
  expect([await reaches(PUBLIC), await reaches(OTHER), await reaches(THIRD)]).toEqual([true, true, false]);
  asked.length = 0;
  expect(await lookup("bad.test")).toBe("ENOTFOUND");
  expect(await lookup("secret-data.bad.test")).toBe("ENOTFOUND");
  expect(await lookup("good.test", "AAAA")).toBe("ENODATA");
  expect(await lookup("good.test", "TXT")).toBe("ENODATA");
  expect(asked, "nothing of it leaves the machine").toEqual([]);
  expect(await lookup("inside.test")).toEqual([PRIVATE]);
  expect(await reaches(PRIVATE), "a name opens no closed range").toBe(false);
});

test("whichever server a sandbox asks, ours answers", async () => {
  await slot.restrict({ allow: ["good.test"] });
  expect(await lookup("good.test", "A", THIRD)).toEqual([PUBLIC]);
  expect(await lookup("bad.test", "A", THIRD)).toBe("ENOTFOUND");
  expect(await reaches(slot.gateway), "and by no other way").toBe(false);
});

test("two sandboxes with lists do not share what they have asked for", async () => {
  const other = await network.acquire(cleanup);
  for (const each of [slot, other]) await each.restrict({ allow: ["good.test"] });
  await lookup("good.test");
  expect([await reaches(PUBLIC), await world.get(other.netnsPath, PUBLIC)]).toEqual([true, undefined]);
});

test("a list holds while no agent is there and after its restart, and goes with its sandbox", async () => {
  await slot.restrict({ allow: ["good.test", `${OTHER}:80`] });
  await lookup("good.test");
  const successor = await open();
  expect([await reaches(PUBLIC), await reaches(OTHER), await reaches(THIRD)]).toEqual([true, true, false]);
  await successor.adopt(slot.id).restrict({ allow: ["good.test", `${OTHER}:80`] });
  expect(await lookup("good.test")).toEqual([PUBLIC]);
  expect([await reaches(PUBLIC), await reaches(OTHER), await reaches(THIRD)]).toEqual([true, true, false]);
  await cleanup.run();
  await successor.reclaim(new Set());
  expect(await world.onHost("nft", "list", "ruleset")).not.toContain(slot.hostInterface);
  network = successor;
});

test("what an answer opens is open for as long as it holds and a minute, anew with each answer", async () => {
  await slot.restrict({ allow: ["good.test"] });
  await lookup("good.test");
  const listed = await world.onHost("nft", "list", "set", "inet", "mags_aaaapo11_policies", `names${slot.id}`);
  expect(listed).toMatch(new RegExp(`${PUBLIC} timeout 1m1s expires`));
  await delay(1100);
  await lookup("good.test");
  const again = await world.onHost("nft", "list", "set", "inet", "mags_aaaapo11_policies", `names${slot.id}`);
  expect(again, "asking again begins anew").toMatch(/expires 1m/);
});

test.each([
  ["good.test", [undefined]],
  ["GOOD.test.", [undefined]],
  ["a.b.wild.test", [443, 80]],
  ["wild.test", []],
  ["notgood.test", []],
  ["good.test.evil.test", []],
])("%s may be reached on %j", (name, ports) => {
  const allow = [
    { name: "good.test", below: false, port: 8080 },
    { name: "good.test", below: false, port: undefined },
    { name: "wild.test", below: true, port: 443 },
    { name: "wild.test", below: true, port: 80 },
    { range: "192.0.2.0/24", port: undefined },
  ];
  expect(allowedPorts(name, allow)).toEqual(ports);
});
