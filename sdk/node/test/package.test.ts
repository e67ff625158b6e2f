/** The package as it is published: built, put where npm would put it, and used from both kinds of modules. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { json, serve } from "./wire.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;
let consumer: string;
let built: string;

beforeAll(async () => {
  consumer = await mkdtemp("/tmp/mags-sdk-");
  built = join(consumer, "node_modules/@mags/sdk");
  await mkdir(built, { recursive: true });
  await run(process.execPath, [join(ROOT, "sdk/node/build.ts"), built]);
});
afterAll(() => rm(consumer, { recursive: true, force: true }));

const use = `
  const mags = new Mags({ apiToken: "t", apiUrl: process.argv[2] });
  mags.run("true").then(({ requestId }) => mags.status("gone").catch((error) => {
    console.log(requestId, error instanceof MagsError, error.statusCode);
  }));
`;

test.each([
  ["import", "use.mjs", `import { Mags, MagsError } from "@mags/sdk";${use}`],
  ["require", "use.cjs", `const { Mags, MagsError } = require("@mags/sdk");${use}`],
])("programs that %s it run jobs", async (_, name, text) => {
  await using server = await serve((request, response) => {
    if (request.method === "POST") return json(response, 202, { request_id: "5d3c", name: "n", status: "accepted" });
    json(response, 404, { message: "gone" });
  });
  await writeFile(join(consumer, name), text);
  expect(await run(process.execPath, [join(consumer, name), server.url])).toBe("5d3c true 404");
  expect(server.seen[0]?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
});

test.each([["use.mts"], ["use.cts"]])(
  "its types serve %s without another package",
  { timeout: 120_000 },
  async (name) => {
    const text = `import { Mags, type RunResult } from "@mags/sdk";
    export const code = async (): Promise<number | null> => {
      const result: RunResult = await new Mags().runAndWait("true");
      const status: "completed" | "error" | string = result.status;
      for await (const item of new Mags().followLogs(status)) if (item.type === "entry") item.message.trim();
      // @ts-expect-error: a script is a text
      await new Mags().run(5);
      return result.exitCode;
    };`;
    await writeFile(join(consumer, name), text);
    const strict = ["--noEmit", "--strict", "--skipLibCheck", "false", "--module", "node16", "--target", "es2022"];
    await run(process.execPath, [
      join(ROOT, "node_modules/typescript/bin/tsc"),
      ...strict,
      ...["--lib", "es2022,dom,esnext.disposable", "--types", "node", "--typeRoots", join(ROOT, "node_modules/@types")],
      join(consumer, name),
    ]);
  },
);

test("it holds its own files only and imports nothing but Node", async () => {
  expect((await readdir(built)).sort()).toEqual([
    "README.md",
    "index.cjs",
    "index.d.cts",
    "index.d.ts",
    "index.js",
    "package.json",
  ]);
  for (const file of ["index.js", "index.cjs", "index.d.ts", "index.d.cts"]) {
    const text = await readFile(join(built, file), "utf8");
    const imported = [...text.matchAll(/(?:from|import\(|require\()\s*["']([^"']+)["']/g)].map(([, name]) => name);
    expect(imported.filter((name) => !name?.startsWith("node:"))).toEqual([]);
  }
});
