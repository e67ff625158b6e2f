/** What is in deploy/: systemd understands the unit, and what the recipes name is there. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import { expect, test } from "vitest";
import { options } from "../../magsd/src/config.ts";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
const read = (name: string) => readFile(join(ROOT, "deploy", name), "utf8");

test("systemd accepts the unit, which leaves sandboxes alone when it stops", async () => {
  const dir = await mkdtemp("/tmp/mags-unit-");
  try {
    const unit = (await read("magsd.service")).replaceAll("/opt/mags", ROOT);
    const path = join(dir, "magsd.service");
    await writeFile(path, unit);
    const { exitCode, stdout, stderr } = await spawn("systemd-analyze", ["verify", "--man=no", path], {
      reject: false,
    });
    expect([exitCode, stdout, stderr]).toEqual([0, "", ""]);
    expect(unit).toMatch(/^KillMode=process$/m);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("recipe and compose file set only what Mags reads, on the ports that they open", async () => {
  const [recipe, compose] = await Promise.all([read("Containerfile"), read("compose.yaml")]);
  const known = options.map(({ env }) => env) as string[];
  const set = [...`${recipe}${compose}`.matchAll(/\b(MAGS_[A-Z_]+)[=:] ?[^-]/g)].map(([, name]) => name as string);
  expect(set.length).toBeGreaterThan(4);
  expect(set.filter((name) => !known.includes(name))).toEqual([]);
  const listens = [...recipe.matchAll(/_LISTEN=[\d.]+:(\d+)/g)].map(([, port]) => port);
  expect(recipe).toContain(`EXPOSE ${listens.join(" ")}`);
  for (const port of listens) expect(compose).toContain(`127.0.0.1:${port}:${port}`);
});
