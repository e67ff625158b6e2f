/** What people read of files, schedules, tokens and the like, as a golden file each. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { json, refusal, serve, type WireServer } from "../../sdk/node/test/wire.ts";
import { expectGolden, home, mags, session } from "./golden.ts";

const file = (number: number, more: object = {}) => ({
  file_id: `00000000-0000-4000-8000-00000000000${number}`,
  name: `data-${number}.csv`,
  bytes: 1000 ** number,
  sha256: "0".repeat(64),
  created_at: "2026-01-02T03:04:05.678Z",
  used_at: null,
  expires_at: "2026-01-09T03:04:05.678Z",
  ...more,
});

const answers: Record<string, [number, object]> = {
  "GET /mags-files": [
    200,
    { files: [file(2), file(1, { name: "hostile \u001b[2J\u0007 name" })], total: 2, total_bytes: 1_001_000 },
  ],
  "POST /mags-files": [201, file(1)],
  "DELETE /mags-files": [200, {}],
};
const missing: [number, object] = [404, refusal("not_found", "there is no such thing", "List what exists.")];

let server: WireServer;
let env: Record<string, string>;
beforeAll(async () => {
  server = await serve((request, response) => {
    const path = (request.url ?? "").replace("/api/v1", "");
    const [, collection = "", id] = /^(\/[\w-]+)(?:\/([^/?]+))?/.exec(path) ?? [];
    const answer = answers[`${request.method} ${collection}`] ?? missing;
    json(response, ...(id === "no-such" ? missing : answer));
  });
  env = { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" };
});
afterAll(() => server[Symbol.asyncDispose]());

const id = "00000000-0000-4000-8000-000000000001";

describe("help", () => {
  const commands = ["file", "file upload", "file list", "file delete"];
  test.for(commands)("%s", async (command) => {
    const text = await session([...command.split(" "), "--help"]);
    expect(text).toContain("Example:");
    expectGolden(`help-${command.replaceAll(" ", "-")}`, text);
  });
});

describe("output", () => {
  const cases: Record<string, string[]> = {
    "file-list": ["file", "list"],
    "file-list-json": ["file", "list", "--json"],
    "file-delete": ["file", "delete", id],
    "file-no-such": ["file", "delete", "no-such"],
    "file-no-path": ["file", "upload", "/no/such/file"],
  };
  test.for(Object.entries(cases))("%s", async ([name, args]) => expectGolden(name, await session(args, env)));
});

test("files are sent as they are, under their own names", async () => {
  const path = join(home, "résumé.txt");
  writeFileSync(path, "content\n");
  const before = server.seen.length;
  expect(await mags(["file", "upload", path], env)).toMatchObject({ exitCode: 0, stdout: `${id}\n` });
  const [request] = server.seen.slice(before);
  expect(request?.line).toBe("POST /api/v1/mags-files");
  expect(request?.headers["content-type"]).toMatch(/^multipart\/form-data; boundary=/);
  expect(request?.body).toContain('name="file"; filename="résumé.txt"');
  expect(request?.body).toContain("\r\n\r\ncontent\n\r\n");
});
