import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { run, spawn } from "@mags/kit";
import { expect, it } from "vitest";
import { call, createJob, logger, startWorld } from "../testing.ts";
import { openDatabase } from "./database.ts";
import { startEmbeddedPostgres } from "./embedded.ts";

it("the server outlives kill -9 of PostgreSQL, and keeps every row it had acknowledged", async () => {
  await using world = await startWorld();
  const acknowledged: string[] = [];
  const refused: number[] = [];
  let going = true;
  const write = async () => {
    while (going) {
      const answer = await createJob(world);
      if (answer.status === 202) acknowledged.push(answer.body.request_id);
      else refused.push(answer.status);
    }
  };
  const writers = [write(), write(), write()];
  await sleep(300);
  const [before, pid] = [acknowledged.length, world.postgres.pid()];
  process.kill(pid, "SIGKILL");
  const since = performance.now();
  // Connections that are open outlive the process that took them by a moment, and answer.
  await expect.poll(() => world.postgres.pid(), { timeout: 10_000, interval: 10 }).not.toBe(pid);
  while ((await call(world, "GET", "/api/v1/mags-jobs")).status !== 200) await sleep(10);
  expect(performance.now() - since).toBeLessThan(10_000);
  await sleep(300);
  going = false;
  await Promise.all(writers);
  expect(acknowledged.length).toBeGreaterThan(before);
  expect(refused.filter((status) => status !== 503)).toEqual([]);
  const { rows } = await world.sql.query("SELECT count(*)::int AS n FROM jobs WHERE id = ANY($1)", [acknowledged]);
  expect(rows[0].n).toBe(acknowledged.length);
});

it("PostgreSQL left by a killed process is adopted, and closes with its new owner", async () => {
  const dir = await mkdtemp(join(tmpdir(), "mags-adopt-"));
  const script = `import { startEmbeddedPostgres } from ${JSON.stringify(join(import.meta.dirname, "embedded.ts"))};
    import { createLogger } from "@mags/kit";
    const postgres = await startEmbeddedPostgres({ dir: ${JSON.stringify(dir)}, logger: createLogger("silent") });
    console.log(String(postgres.pid()));
    process.kill(process.pid, "SIGKILL");`;
  const child = await spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
    reject: false,
    cwd: import.meta.dirname,
  });
  const postgres = await startEmbeddedPostgres({ dir, logger });
  expect(postgres.pid()).toBe(Number(child.stdout));
  await postgres.close();
  // Removed by a clean shutdown only; the process itself may stay as a zombie where nobody reaps it.
  expect(existsSync(join(dir, "data", "postmaster.pid"))).toBe(false);
  await rm(dir, { recursive: true, force: true });
});

it("works in a directory too deep for a socket", async () => {
  const base = await mkdtemp(join(tmpdir(), "mags-deep-"));
  const postgres = await startEmbeddedPostgres({ dir: join(base, "d".repeat(120)), logger });
  const database = await openDatabase(postgres.url, logger);
  const { rows } = await database.query<{ fsync: string }>(
    "SELECT current_setting('fsync') || current_setting('synchronous_commit') AS fsync",
  );
  expect(rows).toEqual([{ fsync: "onon" }]);
  await database.query("INSERT INTO migrations (name) VALUES ('9999_future.sql')");
  await database.close();
  await expect(openDatabase(postgres.url, logger)).rejects.toThrow("newer version of Mags (it has 9999_future.sql)");
  const owner = await run("stat", ["-c", "%a", decodeURIComponent(new URL(postgres.url).searchParams.get("host")!)]);
  expect(owner).toBe("700");
  await postgres.close();
  await rm(base, { recursive: true, force: true });
});
