import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { entryBytes, type Followed, followLogs } from "../src/follow.ts";
import { Mags, MagsError } from "../src/index.ts";
import { collect, endEvent, entryEvent, json, refusal, serve } from "./wire.ts";

/** For tests that are not about time: a busy machine is no dead server. */
const patient = { longestPauseMs: 20, giveUpMs: 60_000, silenceMs: 60_000 };
const http = (apiUrl: string) => ({ apiUrl, apiToken: "secret", timeout: 5 });

/** First entry that a request has not got yet. */
const resumesAt = (request: IncomingMessage) =>
  Number.parseInt(request.headers["last-event-id"]?.toString() ?? "0", 10) / 10;

function open(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("retry: 500\n\n: heartbeat\n\n");
}

const offsets = (items: Followed[]) => items.flatMap((item) => (item.type === "entry" ? [item.offset] : []));

test("connections that are cut at any byte lose no entry and give none twice", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 6 }), async (lengths) => {
      const left = [...lengths];
      await using server = await serve((request, response) => {
        const from = resumesAt(request);
        const rest = Array.from({ length: 8 - from }, (_, index) => entryEvent(from + index)).join("") + endEvent;
        const cutAt = left.shift();
        open(response);
        if (cutAt === undefined || cutAt >= rest.length) response.end(rest);
        else response.write(rest.slice(0, cutAt), () => response.destroy());
      });
      const items = await collect(followLogs(http(server.url), "job", {}, patient));
      expect(offsets(items)).toEqual([0, 10, 20, 30, 40, 50, 60, 70]);
      expect(items.at(-1)).toMatchObject({ type: "end", status: "completed" });
    }),
    { numRuns: 30 },
  );
});

test("a server that is away for a while and comes back on its port is taken up where it stopped", async () => {
  let port: number;
  const items: Followed[] = [];
  {
    await using server = await serve((_, response) => {
      open(response);
      response.write(entryEvent(0) + entryEvent(1));
    });
    port = server.port;
    const seen = Promise.withResolvers<void>();
    const following = (async () => {
      for await (const item of followLogs(http(server.url), "job", {}, patient)) {
        items.push(item);
        if (items.length === 2) seen.resolve();
      }
    })();
    await seen.promise;
    await server[Symbol.asyncDispose]();
    await delay(200);
    await using again = await serve((request, response) => {
      open(response);
      response.end(entryEvent(resumesAt(request)) + endEvent);
    }, port);
    await following;
    expect(again.seen[0]?.headers["last-event-id"]).toBe("20.0.0");
  }
  expect(offsets(items)).toEqual([0, 10, 20]);
});

test("a connection that falls silent is left, one with heartbeats is kept", async () => {
  await using server = await serve((request, response) => {
    open(response);
    if (resumesAt(request) === 0) {
      response.write(entryEvent(0));
      return; // and nothing more: a half-open connection
    }
    const beat = setInterval(() => response.write(": still here\n\n"), 50);
    setTimeout(() => {
      clearInterval(beat);
      response.end(entryEvent(1) + endEvent);
    }, 1500);
  });
  const items = await collect(followLogs(http(server.url), "job", {}, { ...patient, silenceMs: 1000 }));
  expect(offsets(items)).toEqual([0, 10]);
  expect(server.seen).toHaveLength(2);
});

test("a slow reader is no dead server", async () => {
  const silenceMs = 300;
  await using server = await serve((_, response) => {
    open(response);
    response.end(entryEvent(0) + entryEvent(1) + endEvent);
  });
  const items: Followed[] = [];
  for await (const item of followLogs(http(server.url), "job", {}, { ...patient, silenceMs })) {
    items.push(item);
    await delay(silenceMs * 2);
  }
  expect(items).toHaveLength(3);
  expect(server.seen).toHaveLength(1);
});

test("refusals that last are raised at once, passing ones are waited for", async () => {
  let calls = 0;
  await using server = await serve((request, response) => {
    if (request.url?.includes("unknown")) return json(response, 404, refusal("not_found", "no job unknown", "list"));
    calls++;
    if (calls === 1) return json(response, 503, refusal("unavailable", "starting", "wait"));
    if (calls === 2) return json(response, 429, refusal("rate_limited", "slowly", "wait"), { "retry-after": "0" });
    open(response);
    response.end(endEvent);
  });
  const unknown = collect(followLogs(http(server.url), "unknown", {}, patient));
  await expect(unknown).rejects.toMatchObject({ statusCode: 404, code: "not_found" });
  expect(await collect(followLogs(http(server.url), "job", {}, patient))).toMatchObject([{ type: "end" }]);
});

test("a server that stays away is given up with a MagsError", async () => {
  const gone = await serve(() => undefined);
  await gone[Symbol.asyncDispose]();
  const following = collect(followLogs(http(gone.url), "job", {}, { ...patient, giveUpMs: 300 }));
  await expect(following).rejects.toMatchObject({ code: "unreachable", message: expect.stringContaining(gone.url) });
  await expect(following).rejects.toBeInstanceOf(MagsError);
});

test("a signal aborted in the middle of what has come lets nothing more through", async () => {
  await using server = await serve((_, response) => {
    open(response);
    response.end(entryEvent(0) + entryEvent(1) + endEvent);
  });
  const leave = new AbortController();
  const items: Followed[] = [];
  for await (const item of followLogs(http(server.url), "job", { signal: leave.signal }, patient)) {
    items.push(item);
    leave.abort();
  }
  expect(offsets(items)).toEqual([0]);
});

test("an aborted signal ends the iteration, and leaving early closes the connection", async () => {
  let closed = 0;
  await using server = await serve((_, response) => {
    open(response);
    response.write(entryEvent(0));
    response.on("close", () => closed++);
  });
  const mags = new Mags({ apiUrl: server.url, apiToken: "secret" });
  for await (const item of mags.followLogs("job")) if (item.type === "entry") break;
  const leave = new AbortController();
  const items: Followed[] = [];
  for await (const item of mags.followLogs("job", { signal: leave.signal })) {
    items.push(item);
    leave.abort();
  }
  expect(items).toHaveLength(1);
  for (let look = 0; look < 50 && closed < 2; look++) await delay(20);
  expect(closed).toBe(2);
});

test("entries give back their exact bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 50 }), fc.boolean(), (bytes, newline) => {
      const message = Buffer.from(bytes).toString("base64");
      expect([...entryBytes({ message, newline, encoding: "base64" })]).toEqual([...bytes, ...(newline ? [10] : [])]);
    }),
  );
  expect([...entryBytes({ message: "é", newline: false })]).toEqual([0xc3, 0xa9]);
});
