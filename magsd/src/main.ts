import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Agent, startAgent } from "@mags/agent";
import { ensureHostKey, startGateway } from "@mags/gateway";
import { Cleanup, type Credentials, createLogger, type UpstreamOptions } from "@mags/kit";
import { type Membership, SERVER_MEMBER } from "@mags/protocol";
import { startServer } from "@mags/server";
import { openObjectStore } from "@mags/storage";
import { accessOf } from "./access-config.ts";
import { checkStore } from "./check-store.ts";
import { isLoopback } from "./cluster-config.ts";
import { type Config, help, readConfig } from "./config.ts";
import { firstRun, waitUntilReady, welcome } from "./first-run.ts";
import { lockDataDir } from "./lock.ts";
import { enterMountNamespace } from "./mount-namespace.ts";
import { quotasOf } from "./quota-config.ts";
import { stopSignal, within } from "./signals.ts";
import { ensureSecretKeys, ensureToken } from "./tokens.ts";
import { workspaceLimits } from "./workspace-config.ts";

const VERSION = "0.1.0";
/** Built by the setup. */
const DASHBOARD_DIR = join(import.meta.dirname, "../../dashboard/dist");
const DOCS_DIR = join(import.meta.dirname, "../../docs");
const READY_SECONDS = 60;
const DRAIN_SECONDS = 20;

async function main(): Promise<void> {
  const config = readConfig();
  const { dataDir, roles } = config;
  if (roles.includes("agent")) enterMountNamespace();
  const stopped = stopSignal();
  const cleanup = new Cleanup();
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  const lock = await lockDataDir(dataDir);
  cleanup.add("lock", () => lock.release());
  try {
    const agent = await start(config, cleanup);
    await stopped;
    if (agent?.running()) process.stdout.write(`${agent.running()} job(s) go on; the next start takes them up\n`);
  } finally {
    await within(DRAIN_SECONDS, "stopping", cleanup.run());
  }
}

/** Starts what the roles ask for and says when it is ready. */
async function start(config: Config, cleanup: Cleanup): Promise<Agent | undefined> {
  const { dataDir, roles } = config;
  const logger = createLogger(config.logLevel);
  const [adminToken, nodeToken] = await Promise.all([ensureToken(dataDir, "admin"), ensureToken(dataDir, "node")]);
  const hostKey = await ensureHostKey(dataDir);
  let upstream = upstreamOf(config, nodeToken);
  let awaitNode: (starting: Promise<unknown>) => void = () => undefined;
  let credentials = config.member && credentialsIn(config.member);
  const objects = await openObjectStore(config.store);
  cleanup.add("object store", () => objects.close());
  if (roles.includes("server")) {
    await checkStore(objects, dataDir, logger);
    const files = {
      maxBytes: config.uploadMaxMb * 1024 ** 2,
      quotaBytes: config.uploadQuotaMb * 1024 ** 2,
      keepSeconds: config.uploadKeepHours * 3600,
    };
    const urls = { appsUrl: config.appsUrl, privateUrls: config.appsPrivate };
    const ssh = { ...config.sshAddress, hostKey: hostKey.publicKey };
    const { clusterListen: inner } = config;
    const secret = inner && (config.clusterSecret ?? (await ensureToken(dataDir, "cluster")));
    const server = await startServer({
      ...config,
      cluster: inner && secret ? { listen: inner, secret } : undefined,
      adminToken,
      nodeToken,
      dashboardDir: DASHBOARD_DIR,
      docsDir: DOCS_DIR,
      objects,
      files,
      cron: { minSeconds: config.cronMinSeconds },
      tokens: { requestsPerMinute: config.rateLimit },
      access: accessOf(config),
      quotas: quotasOf(config),
      webhooks: { allow: config.webhookAllow },
      secretKeys: config.secretsKey ?? (await ensureSecretKeys(dataDir)),
      urls,
      ssh,
      workspaces: workspaceLimits(config),
      logger,
      version: VERSION,
    });
    cleanup.add("server", () => server.close());
    awaitNode = (node) => server.awaitNode(node);
    const secure = server.credentials && { credentials: server.credentials, name: SERVER_MEMBER };
    upstream = { urls: [server.url], token: nodeToken, secure };
    credentials = await server.credentialsOf(config.nodeName);
  }
  const processSecret = randomBytes(32).toString("hex");
  const startEdge = async () => {
    if (!roles.includes("gateway")) return;
    const gateway = await startGateway({
      ...config,
      server: upstream,
      nodeToken,
      processSecret,
      hostKey: hostKey.privateKey,
      logger,
    });
    cleanup.add("gateway", () => gateway.close());
  };
  const startNode = async (): Promise<Agent | undefined> => {
    if (!roles.includes("agent")) return undefined;
    const pool = { min: config.poolMin, max: config.poolMax };
    const busy = { cpuPercent: config.busyCpuPercent, writtenKbS: config.busyWrittenKbS };
    const { agentListen: listen, nodeLabels: labels } = config;
    const agent = await startAgent({
      ...config,
      server: upstream,
      nodeToken,
      processSecret,
      listen,
      labels,
      credentials: isLoopback(listen.host) ? undefined : credentials,
      pool,
      busy,
      objects,
      logger,
    });
    cleanup.add("agent", () => agent.close());
    process.stdout.write(`Sandboxes here are ${agent.sandboxes}.\n`);
    return agent;
  };
  // Both to their end, whatever becomes of the other, so that what was started is undone.
  const starting = startNode();
  awaitNode(starting);
  const [edge, node] = await Promise.allSettled([startEdge(), starting]);
  if (edge.status === "rejected") throw edge.reason;
  if (node.status === "rejected") throw node.reason;
  const agent = node.value;
  const [serverUrl = ""] = upstream.urls;
  if (!roles.includes("server") || !roles.includes("agent")) {
    const what = roles.includes("server") ? "API" : "its server";
    process.stdout.write(`Mags ${roles.join(" and ")} is running; ${what}: ${serverUrl}\n`);
    return agent;
  }
  await waitUntilReady(serverUrl, READY_SECONDS);
  process.stdout.write(await firstRun(dataDir, serverUrl, adminToken));
  process.stdout.write(welcome(serverUrl, dataDir));
  return agent;
}

/** The servers of a process that has none itself. */
function upstreamOf({ member, serverUrls }: Config, nodeToken: string): UpstreamOptions {
  if (!member) return { urls: serverUrls, token: nodeToken };
  return { urls: serverUrls, token: member.token, secure: { credentials: credentialsIn(member), name: SERVER_MEMBER } };
}

const credentialsIn = ({ authority, certificate, key }: Membership): Credentials => ({ authority, certificate, key });

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
