import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "@mags/kit";
import { Assignment } from "@mags/protocol";
import { afterEach, beforeEach, expect, it } from "vitest";
import { JobRecords, unstarted } from "./record.ts";

const made = () =>
  unstarted(Assignment.parse({ id: randomUUID(), attempt: 1, name: "j", org: "o", spec: { script: "true" } }));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mags-records-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

it("a record is written when there is room again, though its directory could not be made before", async () => {
  // The root, the file that fills it and one more: no inode is left for a job.
  await run("mount", ["-t", "tmpfs", "-o", "nr_inodes=3", "tmpfs", dir]);
  try {
    const [records, record] = [new JobRecords(dir), made()];
    for (const name of ["a", "b"]) await writeFile(join(dir, name), "");
    expect(() => records.write(record)).toThrow("ENOSPC");
    expect(() => records.write(record)).toThrow("ENOSPC");
    await run("mount", ["-o", "remount,nr_inodes=100", dir]);
    records.write(record);
    expect(await records.read(record.assignment.id)).toEqual(record);
  } finally {
    await run("umount", [dir]);
  }
});

it("a record that a power cut has emptied is none", async () => {
  const [records, record] = [new JobRecords(dir), made()];
  records.write(record);
  await writeFile(join(records.directory(record.assignment.id), "job.json"), "");
  expect(await records.read(record.assignment.id)).toBeUndefined();
});
