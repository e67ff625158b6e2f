import { threadId } from "node:worker_threads";
import { expect, test } from "vitest";
import { run } from "./run.ts";
import type { calls } from "./testing/thread.ts";
import { Threads } from "./threads.ts";

const FILE = new URL("./testing/thread.ts", import.meta.url);
const start = (most = 2) => new Threads<typeof calls>(FILE, most);

test("a call is made on another thread, which is used again", async () => {
  const threads = start();
  const first = await threads.call("where");
  expect(first).not.toBe(threadId);
  expect(await threads.call("where")).toBe(first);
});

test("calls run at a time on as many threads as there may be, the others wait for their turn", async () => {
  const threads = start(3);
  const ids = await Promise.all(Array.from({ length: 9 }, () => threads.call("wait", 30)));
  expect(new Set(ids).size).toBe(3);
});

test("buffers are moved, not copied", async () => {
  const bytes = new Uint8Array(100_000).fill(7);
  const answer = await start().call("double", bytes);
  expect(answer).toEqual({ bytes: new Uint8Array(100_000).fill(14), count: 100_000 });
  expect(bytes.length).toBe(0);
});

test("small buffers share their memory with others, which stay as they are", async () => {
  const [one, other] = [Buffer.from("one"), Buffer.from("other")];
  expect((await start().call("double", one)).count).toBe(3);
  expect(String(other)).toBe("other");
});

test("an error comes with its name, message and code", async () => {
  const error = { name: "Error", code: "ENOENT", message: expect.stringContaining("no such file") };
  await expect(start().call("read", "/no/such/file")).rejects.toMatchObject(error);
});

test("a thread that ends in the middle of a call fails that call, and the next gets a new one", async () => {
  const threads = start(1);
  const [dead, next] = [threads.call("die"), threads.call("where")];
  await expect(dead).rejects.toThrow("ended");
  expect(await next).toBeGreaterThan(0);
});

test("threads do not keep the process alive", async () => {
  const script = `import { Threads } from "${new URL("./threads.ts", import.meta.url)}";
    console.log(await new Threads(new URL("${FILE}"), 2).call("wait", 20) > 0);`;
  expect(await run("timeout", ["20", process.execPath, "--input-type=module-typescript", "-e", script])).toBe("true");
});
