import { mkdir } from "node:fs/promises";
import { startAgent } from "@mags/agent";
import { Cleanup, createLogger } from "@mags/kit";
import { startServer } from "@mags/server";
import { help, readConfig } from "./config.ts";
import { helloJob, waitUntilReady, welcome } from "./first-run.ts";
import { lockDataDir } from "./lock.ts";
import { enterMountNamespace } from "./mount-namespace.ts";
import { stopSignal } from "./signals.ts";
import { ensureToken } from "./tokens.ts";

const VERSION = "0.1.0";
const READY_SECONDS = 60;

async function main(): Promise<void> {
  const config = readConfig();
  enterMountNamespace();
  const stopped = stopSignal();
  const logger = createLogger(config.logLevel);
  const cleanup = new Cleanup();
  const { dataDir } = config;
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  const lock = await lockDataDir(dataDir);
  cleanup.add("lock", () => lock.release());
  const [adminToken, nodeToken] = await Promise.all([ensureToken(dataDir, "admin"), ensureToken(dataDir, "node")]);
  const server = await startServer({ ...config, adminToken, nodeToken, logger, version: VERSION });
  cleanup.add("server", () => server.close());
  const pool = { min: config.poolMin, max: config.poolMax };
  const agent = await startAgent({ ...config, serverUrl: server.url, nodeToken, pool, logger });
  cleanup.add("agent", () => agent.close());
  await waitUntilReady(server.url, READY_SECONDS);
  process.stdout.write(await helloJob(server.url, adminToken));
  process.stdout.write(welcome(server.url, dataDir));
  await stopped;
  if (agent.running() > 0) process.stdout.write(`${agent.running()} job(s) go on; the next start takes them up\n`);
  await cleanup.run();
}

if (process.argv.includes("--help")) {
  process.stdout.write(help());
} else {
  main().then(
    () => process.exit(0),
    (error: Error) => {
      process.stderr.write(`magsd: ${error.message}\n`);
      process.exit(1);
    },
  );
}
