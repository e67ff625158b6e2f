/** Uploaded files on their way into a machine. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Mags } from "@mags/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mags-test-files-"));
  daemon = await Daemon.start();
  mags = await daemon.client();
});
afterAll(async () => {
  await daemon.remove();
  await rm(dir, { recursive: true });
});

test("files are in /root and /uploads under their names, byte for byte, before the script starts", async () => {
  const large = Buffer.alloc(30 * 1024 * 1024, "mags upload ");
  const fileIds = await mags.uploadFiles([
    { name: "large.bin", data: new Uint8Array(large) },
    { name: "with space & 'quote'.txt", data: "text\n" },
    { name: "empty", data: "" },
  ]);
  const result = await mags.runAndWait(
    `sha256sum large.bin; cat "/uploads/with space & 'quote'.txt"; stat -c '%U %a %s' empty; ls -A | grep -c mags-file`,
    { fileIds },
  );
  const hash = createHash("sha256").update(large).digest("hex");
  expect(result.stdout).toBe(`${hash}  large.bin\ntext\nroot 644 0\n0\n`);
});

test("a link that an earlier script has left is replaced, and leads nowhere", async () => {
  const options = { workspaceId: "links" };
  const trap = "echo safe > /etc/mags-target; ln -s /etc/mags-target data.txt; ln -s /no/such/place /uploads";
  const make = await daemon.http("POST", "/api/v1/mags-jobs", { script: trap, workspace_id: options.workspaceId });
  await mags.wait(make.body.request_id);
  const file_ids = await mags.uploadFiles([{ name: "data.txt", data: "new\n" }]);
  const script = "cat /etc/mags-target data.txt; [ -L data.txt ] || echo plain";
  const job = await daemon.http("POST", "/api/v1/mags-jobs", { script, workspace_id: "links", file_ids });
  await mags.wait(job.body.request_id);
  const log = await mags.logs(job.body.request_id);
  expect(log.filter(({ source }) => source === "stdout").map(({ message }) => message)).toEqual([
    "safe",
    "new",
    "plain",
  ]);
});

test("a file that does not fit on the disk ends the job with the reason, and the script does not run", async () => {
  const fileIds = await mags.uploadFiles([{ name: "big", data: new Uint8Array(150 * 1024 * 1024) }]);
  const result = await mags.runAndWait("echo ran", { fileIds, diskGb: 0.1 });
  expect(result).toMatchObject({ status: "error", stdout: "" });
  expect(result.error).toContain("No space left");
});

test("a file that is damaged in the store is noticed, and the script does not run", async () => {
  const [id] = await mags.uploadFiles([{ name: "fragile", data: "abc" }]);
  const parts = join(daemon.dataDir, "objects/objects/orgs/default/files", id as string);
  const [part] = await readdir(parts);
  await writeFile(join(parts, part as string), "abd");
  const result = await mags.runAndWait("echo ran", { fileIds: [id as string] });
  expect(result).toMatchObject({ status: "error", stdout: "", error: expect.stringContaining("damaged") });
});

test("mags run -f takes files along", async () => {
  const paths = ["one.txt", "two.txt"].map((name) => join(dir, name));
  for (const path of paths) await writeFile(path, `${path}\n`);
  const flags = paths.flatMap((path) => ["-f", path]);
  const result = await daemon.cli(["run", ...flags, "cat one.txt two.txt"]);
  expect(result).toMatchObject({ exitCode: 0, stdout: `${paths.join("\n")}\n` });
  await writeFile(join(dir, "script.sh"), "echo from the file\n");
  expect((await daemon.cli(["run", "-f", join(dir, "script.sh")])).stdout).toBe("from the file\n");
});
