import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { inParallel } from "@mags/kit";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ObjectStore, openObjectStore } from "./index.ts";
import type { S3Options } from "./options.ts";
import { type Fault, FaultyProxy } from "./testing/faulty-proxy.ts";
import { type Radosgw, startRadosgw } from "./testing/radosgw.ts";

let server: Radosgw;
let stores = 0;
beforeAll(async () => {
  server = await startRadosgw();
  await server.bucket("objects");
});
afterAll(() => server?.stop());

const options = (other: Partial<S3Options> = {}) => ({
  kind: "s3" as const,
  endpoint: server.endpoint,
  bucket: "objects",
  prefix: `store-${stores}`,
  accessKeyId: server.accessKey,
  secretAccessKey: server.secretKey,
  ...other,
});

describe("s3 over a line with faults", () => {
  let proxy: FaultyProxy;
  let store: ObjectStore;
  const body = randomBytes(300_000);
  const through = (other: Partial<S3Options> = {}) => openObjectStore(options({ endpoint: proxy.endpoint, ...other }));
  // Short only where something stalls: on a busy machine any answer may take a second.
  const patience = ({ kind }: Fault) => ({ idleTimeoutMs: kind.startsWith("stall") ? 1_500 : 15_000 });

  beforeEach(async () => {
    stores++;
    proxy = await FaultyProxy.start(server.endpoint);
    store = await through();
  });
  afterEach(async () => {
    await store.close();
    await proxy.close();
  });

  const onTheWay: Fault[] = [
    { kind: "status", status: 500, code: "InternalError" },
    { kind: "status", status: 502 },
    { kind: "status", status: 503, code: "SlowDown" },
    { kind: "status", status: 429, code: "TooManyRequests" },
    { kind: "cut request" },
    { kind: "lose answer" },
    { kind: "stall" },
  ];
  const inAnswers: Fault[] = [
    { kind: "cut answer" },
    { kind: "shorten answer" },
    { kind: "stall answer" },
    { kind: "flip answer" },
  ];

  test.each([...onTheWay, ...inAnswers])("get: after %j twice the object is right", async (fault) => {
    await store.put("a", body);
    const patient = await through(patience(fault));
    proxy.faults = [fault, fault];
    expect((await patient.get("a")).equals(body)).toBe(true);
    expect(proxy.requests).toEqual(["PUT", "GET", "GET", "GET"]);
    await patient.close();
  });

  test.each([...onTheWay, { kind: "flip request" } as Fault])(
    "put: after %j twice the object is right",
    async (fault) => {
      const patient = await through(patience(fault));
      proxy.faults = [fault, fault];
      expect(await patient.put("a", body)).toBe("stored");
      expect(proxy.requests).toEqual(["PUT", "PUT", "PUT"]);
      await patient.close();
      expect((await store.get("a")).equals(body)).toBe(true);
    },
  );

  test.each(onTheWay)("has, list and delete: after %j they are right", async (fault) => {
    await store.put("a", body);
    const patient = await through(patience(fault));
    proxy.faults = [fault];
    expect(await patient.has("a")).toBe(true);
    proxy.faults = [fault];
    const listed: string[] = [];
    for await (const { key } of patient.list("")) listed.push(key);
    expect(listed).toEqual(["a"]);
    proxy.faults = [fault];
    await patient.delete(["a"]);
    expect(await store.has("a")).toBe(false);
    await patient.close();
  });

  test.each<[Fault, string]>([
    [{ kind: "status", status: 500, code: "InternalError" }, "busy"],
    [{ kind: "status", status: 503, code: "SlowDown" }, "busy"],
    [{ kind: "status", status: 429 }, "busy"],
    [{ kind: "cut request" }, "unreachable"],
    [{ kind: "cut answer" }, "unreachable"],
    [{ kind: "shorten answer" }, "unreachable"],
    [{ kind: "stall" }, "unreachable"],
    [{ kind: "stall answer" }, "unreachable"],
    [{ kind: "flip answer" }, "unreachable"],
  ])("%j without end is told as %s after a bounded number of attempts", async (fault, code) => {
    const patient = await through({ attempts: 3, ...patience(fault) });
    await store.put("a", body);
    proxy.requests.length = 0;
    proxy.faults = Array(10).fill(fault);
    const started = Date.now();
    await expect(patient.get("a")).rejects.toMatchObject({ name: "ObjectError", code, retryable: true });
    expect(proxy.requests).toHaveLength(3);
    expect(Date.now() - started).toBeLessThan(20_000);
    await patient.close();
  });

  test.each<[Fault, string]>([
    [{ kind: "flip request" }, "unreachable"],
    [{ kind: "cut request" }, "unreachable"],
    [{ kind: "status", status: 507 }, "full"],
    [{ kind: "status", status: 403, code: "QuotaExceeded" }, "full"],
    [{ kind: "status", status: 403, code: "AccessDenied" }, "denied"],
    [{ kind: "status", status: 403, code: "RequestTimeTooSkewed" }, "denied"],
    [{ kind: "status", status: 301, code: "PermanentRedirect" }, "invalid"],
    [{ kind: "status", status: 409, code: "ConditionalRequestConflict" }, "busy"],
  ])("put: %j without end is told as %s, and nothing is stored", async (fault, code) => {
    const patient = await through({ attempts: 2 });
    proxy.faults = Array(4).fill(fault);
    await expect(patient.put("a", body)).rejects.toMatchObject({ name: "ObjectError", code });
    proxy.faults = [];
    expect(await store.has("a")).toBe(false);
    await patient.close();
  });

  test("a conditional put whose answer was lost knows its own object", async () => {
    proxy.faults = [{ kind: "lose answer" }];
    expect(await store.put("a", body, { ifAbsent: true })).toBe("stored");
    expect(proxy.requests).toEqual(["PUT", "PUT", "HEAD"]);
    proxy.faults = [{ kind: "lose answer" }];
    expect(await store.put("a", randomBytes(10), { ifAbsent: true })).toBe("present");
    expect((await store.get("a")).equals(body)).toBe(true);
  });

  test("a page of a listing that breaks off is asked for again", async () => {
    const names = Array.from({ length: 1100 }, (_, i) => `k/${10_000 + i}`);
    await inParallel(16, names, (key) => store.put(key, Buffer.from("x")));
    proxy.faults = [{ kind: "cut answer" }, { kind: "stall answer" }];
    const patient = await through({ idleTimeoutMs: 5_000 });
    const listed: string[] = [];
    for await (const { key } of patient.list("k/")) {
      if (listed.length === 500) proxy.faults = [{ kind: "cut answer" }];
      listed.push(key);
    }
    expect(listed).toEqual(names);
    await patient.close();
  });

  test("a server that does not answer S3 is invalid", async () => {
    proxy.faults = [{ kind: "status", status: 400 }];
    await expect(store.check()).rejects.toMatchObject({ code: "invalid", hint: expect.stringContaining("S3 server") });
  });

  test.each<Fault>([{ kind: "stall" }, { kind: "stall answer" }, { kind: "status", status: 503, code: "SlowDown" }])(
    "an aborted signal ends a request at once, in %j too",
    async (fault) => {
      const patient = await through({ idleTimeoutMs: 60_000 });
      await store.put("a", body);
      proxy.faults = Array(20).fill(fault);
      const abort = new AbortController();
      const get = patient.get("a", { signal: abort.signal });
      get.catch(() => undefined);
      await delay(250);
      const count = proxy.requests.length;
      abort.abort();
      await expect(get).rejects.toMatchObject({ code: "aborted" });
      await delay(300);
      expect(proxy.requests).toHaveLength(count);
      await patient.close();
    },
  );

  test("sockets are limited, kept, and closed in the end; waiting for one is no failure to connect", async () => {
    const narrow = await through({ maxSockets: 3, connectTimeoutMs: 400, attempts: 1 });
    let most = 0;
    const watch = setInterval(async () => {
      most = Math.max(most, await proxy.connections());
    }, 5);
    await inParallel(
      60,
      Array.from({ length: 240 }, (_, i) => `s/${i}`),
      (key) => narrow.put(key, body),
    );
    clearInterval(watch);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(3);
    await narrow.close();
    await delay(50);
    expect(await proxy.connections()).toBe(0);
  });
});

describe("s3 whose server fails", () => {
  test("a server that is killed and comes back is not noticed", async () => {
    const store = await openObjectStore(options({ attempts: 12 }));
    await store.put("before", Buffer.from("x"));
    await server.kill();
    const put = store.put("during", Buffer.from("y"));
    const get = store.get("before");
    await server.restart();
    expect(await put).toBe("stored");
    expect(String(await get)).toBe("x");
    expect(String(await store.get("during"))).toBe("y");
    await store.close();
  });

  test("a server that hangs is unreachable, and fine again when it goes on", async () => {
    const store = await openObjectStore(options({ idleTimeoutMs: 200, attempts: 2 }));
    await store.put("a", Buffer.from("x"));
    server.pause();
    try {
      await expect(store.get("a")).rejects.toMatchObject({ code: "unreachable", retryable: true });
    } finally {
      server.resume();
    }
    expect(String(await store.get("a"))).toBe("x");
    await store.close();
  });
});
