import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureToken } from "./tokens.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp("/tmp/mags-tokens-");
});
afterAll(() => rm(dir, { recursive: true }));

test("a token is made once, for its owner only, and leaves no draft", async () => {
  const token = await ensureToken(dir, "admin");
  expect(token).toMatch(/^mags_[\w-]{32}$/);
  expect(await ensureToken(dir, "admin")).toBe(token);
  expect((await stat(join(dir, "admin.token"))).mode & 0o777).toBe(0o600);
  expect(await readdir(dir)).toEqual(["admin.token"]);
});

test("a token that the operator wrote is taken as it is", async () => {
  await writeFile(join(dir, "node.token"), "from elsewhere\n", { mode: 0o600 });
  expect(await ensureToken(dir, "node")).toBe("from elsewhere");
});

test("a file that a crash left empty does not become an empty token", async () => {
  await writeFile(join(dir, "empty.token"), "");
  const token = await ensureToken(dir, "empty");
  expect(token).toMatch(/^mags_/);
  expect(await ensureToken(dir, "empty")).toBe(token);
});
