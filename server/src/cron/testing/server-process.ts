/** A server in a process of its own, to be killed: `<database URL> <data directory>`. Prints its URL when it listens. */
import { openObjectStore } from "@mags/storage";
import { startServer } from "../../index.ts";
import { ADMIN, logger, NODE_TOKEN, SECRET_KEY, workspaces } from "../../testing.ts";

const [, , databaseUrl, dataDir = ""] = process.argv;
const objects = await openObjectStore({ kind: "directory", path: `${dataDir}/objects` });
const server = await startServer({
  dataDir,
  databaseUrl,
  listen: { host: "127.0.0.1", port: 0 },
  adminToken: ADMIN,
  nodeToken: NODE_TOKEN,
  objects,
  files: { maxBytes: 1, quotaBytes: 1, keepSeconds: 1 },
  workspaces,
  cron: { minSeconds: 1 },
  tokens: { requestsPerMinute: 0 },
  secretKeys: [SECRET_KEY],
  urls: { appsUrl: "http://apps.localhost:7071", privateUrls: false },
  ssh: { host: "127.0.0.1", port: 7072, hostKey: "ssh-ed25519 AAAA" },
  logger,
  version: "0.0.0-test",
});
process.stdout.write(`${server.url}\n`);
