import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { fileKey } from "@mags/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN, type Answer, call, createJob, startWorld, TestNode, type World } from "../testing.ts";
import { PART_BYTES } from "./receive.ts";

const MIB = 1024 * 1024;
const url = "/api/v1/mags-files";
let world: World;
beforeAll(async () => {
  world = await startWorld({ files: { maxBytes: 20 * MIB, quotaBytes: 60 * MIB, keepSeconds: 3600 } });
  await new TestNode(world, "n1").register();
});
afterAll(() => world[Symbol.asyncDispose]());

async function send(form: FormData): Promise<Answer> {
  const headers = { authorization: `Bearer ${ADMIN}` };
  const response = await fetch(world.server.url + url, { method: "POST", body: form, headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

function upload(name: string, ...contents: (string | Uint8Array<ArrayBuffer>)[]): Promise<Answer> {
  const form = new FormData();
  for (const content of contents) form.append("file", new Blob([content]), name);
  return send(form);
}

async function keys(id = ""): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of world.objects.list(fileKey("default", id))) found.push(key);
  return found;
}
const rows = async () => (await world.sql.query("SELECT count(*)::int AS n FROM files")).rows[0].n;
const expire = (id: string) =>
  world.sql.query("UPDATE files SET expires_at = now() - interval '1 s' WHERE id = $1", [id]);

describe("an upload", () => {
  it.each([0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 7])(
    "of %i bytes is kept byte for byte, in parts",
    async (size) => {
      const content = randomBytes(size);
      const answer = await upload("data.bin", content);
      expect(answer).toMatchObject({ status: 201, body: { name: "data.bin", bytes: size, used_at: null } });
      expect(answer.body.sha256).toBe(createHash("sha256").update(content).digest("hex"));
      const id = answer.body.file_id;
      const stored = JSON.parse((await world.objects.get(fileKey("default", id))).toString());
      expect(stored).toMatchObject({ name: "data.bin", bytes: size, part_bytes: PART_BYTES });
      const parts = Array.from({ length: Math.ceil(size / PART_BYTES) }, (_, part) =>
        world.objects.get(`${fileKey("default", id)}/${part}`),
      );
      expect(Buffer.concat(await Promise.all(parts)).equals(content)).toBe(true);
      expect((await call(world, "GET", `${url}/${id}`)).body).toEqual(answer.body);
      await call(world, "DELETE", `${url}/${id}`);
      expect(await keys(id)).toEqual([]);
    },
  );

  it("keeps a name of any script, and of a path only its last part", async () => {
    expect((await upload("résumé 履歴書 🗎.pdf", "x")).body.name).toBe("résumé 履歴書 🗎.pdf");
    expect((await upload("../../etc/passwd", "x")).body.name).toBe("passwd");
    expect((await upload("C:\\temp\\a.txt", "x")).body.name).toBe("a.txt");
  });

  it.each([
    ["without a form", () => call(world, "POST", url, { file: "x" }), 415, "unsupported_media_type"],
    ["without a file", () => send(withField()), 400, "invalid_request"],
    ["with two files", () => upload("a", "1", "2"), 400, "invalid_request"],
    ["with a name that is a directory", () => upload("..", "x"), 400, "invalid_request"],
    ["with a name that steers terminals", () => upload("a\u001b[2Jb", "x"), 400, "invalid_request"],
    ["with a name longer than a file's may be", () => upload("é".repeat(200), "x"), 400, "invalid_request"],
    ["over the limit", () => upload("big", new Uint8Array(20 * MIB + 1)), 413, "too_large"],
  ] as const)("%s is refused, and nothing is kept", async (_, attempt, status, code) => {
    const before = [await rows(), (await keys()).length];
    const answer = await attempt();
    expect([answer.status, answer.body.error.code]).toEqual([status, code]);
    expect([await rows(), (await keys()).length]).toEqual(before);
  });

  it("over the organisation's quota is refused, however many come at a time", async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => upload("many", new Uint8Array(19 * MIB))));
    const kept = answers.filter(({ status }) => status === 201);
    const refused = answers.filter(({ status }) => status !== 201);
    expect(kept.length).toBeLessThanOrEqual(3);
    expect(refused.length).toBeGreaterThanOrEqual(2);
    for (const { status, body } of refused) expect([status, body.error.code]).toEqual([403, "quota_exceeded"]);
    for (const { body } of kept) await call(world, "DELETE", `${url}/${body.file_id}`);
    expect((await call(world, "GET", url)).body.total_bytes).toBeLessThan(MIB);
  });

  it("that is cut in the middle leaves nothing", async () => {
    const before = [await rows(), (await keys()).length];
    const { hostname, port } = new URL(world.server.url);
    const socket = connect(Number(port), hostname);
    const head = `--b\r\nContent-Disposition: form-data; name="file"; filename="cut"\r\n\r\n`;
    socket.write(
      `POST ${url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${ADMIN}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: ${12 * MIB}\r\n\r\n${head}`,
    );
    await new Promise((resolve) => socket.write(Buffer.alloc(9 * MIB), resolve));
    while ((await rows()) === before[0]) await delay(10);
    socket.destroy();
    while ((await rows()) !== before[0]) await delay(10);
    expect((await keys()).length).toBe(before[1]);
  });
});

describe("a job", () => {
  it("keeps its files until it has started", async () => {
    const file = (await upload("input.csv", "a,b\n")).body;
    const job = await createJob(world, { file_ids: [file.file_id.toUpperCase()] });
    expect(job.status).toBe(202);
    const refused = await call(world, "DELETE", `${url}/${file.file_id}`);
    expect([refused.status, refused.body.error.code]).toEqual([409, "conflict"]);
    expect((await call(world, "GET", `${url}/${file.file_id}`)).body.used_at).not.toBeNull();
    await call(world, "POST", `/api/v1/mags-jobs/${job.body.request_id}/stop`);
    expect((await call(world, "DELETE", `${url}/${file.file_id}`)).status).toBe(200);
    expect((await call(world, "GET", `${url}/${file.file_id}`)).status).toBe(404);
  });

  it("is refused files that it cannot have, and is not made", async () => {
    const [one, two] = [(await upload("same", "1")).body.file_id, (await upload("same", "2")).body.file_id];
    const gone = (await upload("gone", "3")).body.file_id;
    await call(world, "DELETE", `${url}/${gone}`);
    const { total } = (await call(world, "GET", "/api/v1/mags-jobs")).body;
    for (const [file_ids, says] of [
      [[one, two], "both called"],
      [[one, one], "twice"],
      [[gone], "expired"],
      [["00000000-0000-4000-8000-000000000000"], "no such file"],
      [["not-an-id"], "file_ids"],
      ["text", "file_ids"],
    ] as const) {
      const answer = await createJob(world, { file_ids }, { "idempotency-key": "of a refused job" });
      expect([answer.status, answer.body.error.code]).toEqual([400, "invalid_request"]);
      expect(answer.body.message).toContain(says);
      expect(answer.body.error.field).toMatch(/^file_ids/);
    }
    expect((await call(world, "GET", "/api/v1/mags-jobs")).body.total).toBe(total);
  });
});

describe("the sweep", () => {
  it("removes what has expired and half an upload, and leaves what a job waits for", async () => {
    const [old, wanted, fresh] = await Promise.all(["old", "wanted", "fresh"].map((name) => upload(name, name)));
    const id = (answer: Answer | undefined) => answer?.body.file_id as string;
    const job = await createJob(world, { file_ids: [id(wanted)] });
    for (const file of [old, wanted]) await expire(id(file));
    const half = "11111111-1111-4111-8111-111111111111";
    await world.sql.query(
      "INSERT INTO files (id, org, name, expires_at) VALUES ($1, 'default', 'half', now() - interval '1 s')",
      [half],
    );
    await world.objects.put(`${fileKey("default", half)}/0`, Buffer.from("half"));
    await world.restartServer();
    const deadline = Date.now() + 30_000;
    while ((await keys(id(old))).length + (await keys(half)).length > 0 && Date.now() < deadline) await delay(50);
    expect([await keys(id(old)), await keys(half)]).toEqual([[], []]);
    expect((await call(world, "GET", `${url}/${id(old)}`)).status).toBe(404);
    for (const file of [wanted, fresh]) expect((await call(world, "GET", `${url}/${id(file)}`)).status).toBe(200);
    await call(world, "POST", `/api/v1/mags-jobs/${job.body.request_id}/stop`);
  });
});

const withField = () => {
  const form = new FormData();
  form.append("other", "text");
  return form;
};
