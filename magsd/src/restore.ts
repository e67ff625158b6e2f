import { createReadStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Cleanup, createLogger } from "@mags/kit";
import { type Restored, restoreBackup, startEmbeddedPostgres } from "@mags/server";
import { openObjectStore } from "@mags/storage";
import { readConfig } from "./config.ts";
import { lockDataDir } from "./lock.ts";

const USAGE = `usage: mags restore FILE [--check] [--allow-missing] [--json]

Restores a backup into the empty database of the same settings that magsd would run with (MAGS_DATA_DIR, DATABASE_URL, MAGS_STORE, …), while it is stopped.
--check          only read it: is it whole, and are the objects that it needs there
--allow-missing  also when objects are missing; the versions that need them cannot be used
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      check: { type: "boolean", default: false },
      "allow-missing": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const [file] = positionals;
  if (values.help || file === undefined || positionals.length > 1) {
    (values.help ? process.stdout : process.stderr).write(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const cleanup = new Cleanup();
  try {
    const restored = await restore(file, values.check, values["allow-missing"], cleanup);
    process.stdout.write(values.json ? `${JSON.stringify(restored, null, 2)}\n` : told(restored, values.check));
  } finally {
    await cleanup.run();
  }
}

async function restore(file: string, check: boolean, allowMissing: boolean, cleanup: Cleanup): Promise<Restored> {
  const config = readConfig(undefined, []);
  const objects = await openObjectStore(config.store);
  cleanup.add("object store", () => objects.close());
  const archive = createReadStream(file);
  archive.on("error", () => undefined);
  if (check) return restoreBackup({ archive, objects, databaseUrl: undefined, allowMissing });
  await objects.check();
  await mkdir(config.dataDir, { recursive: true, mode: 0o711 });
  const lock = await lockDataDir(config.dataDir);
  cleanup.add("lock", () => lock.release());
  return restoreBackup({
    archive,
    objects,
    databaseUrl: config.databaseUrl ?? (await own(config, cleanup)),
    allowMissing,
  });
}

async function own({ dataDir, logLevel }: ReturnType<typeof readConfig>, cleanup: Cleanup): Promise<string> {
  const postgres = await startEmbeddedPostgres({ dir: join(dataDir, "postgres"), logger: createLogger(logLevel) });
  cleanup.add("embedded PostgreSQL", () => postgres.close());
  return postgres.url;
}

function told(
  { made_at, version, rows, objects, missing, lost_versions, expired_files }: Restored,
  check: boolean,
): string {
  const total = Object.values(rows).reduce((sum, count) => sum + count, 0);
  const lines = [
    `${check ? "whole" : "restored"}: backup of ${made_at} by Mags ${version}, ${total} rows, ${objects} objects`,
  ];
  if (missing.length > 0) lines.push(`${missing.length} objects are missing: ${missing.slice(0, 10).join(", ")}`);
  if (lost_versions.length > 0) lines.push(`versions that cannot be used: ${lost_versions.join(", ")}`);
  if (expired_files > 0) lines.push(`${expired_files} uploaded files have expired since`);
  if (!check) lines.push("start magsd now; what ran at the time of the backup ends as node_lost, or wakes elsewhere");
  return `${lines.join("\n")}\n`;
}

main().then(
  () => process.exit(),
  (error: Error) => {
    process.stderr.write(`mags restore: ${error.message}\n`);
    process.exit(1);
  },
);
