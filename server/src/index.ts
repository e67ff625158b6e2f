import { join } from "node:path";
import { Agents } from "@mags/agent-client";
import { Cleanup, type Credentials, type Logger } from "@mags/kit";
import type { ObjectStore } from "@mags/storage";
import { Abandoned } from "./access/abandoned.ts";
import { Access } from "./access/service.ts";
import { Visits } from "./access/visits.ts";
import { Audit } from "./audit/service.ts";
import { repeat } from "./background.ts";
import { Cluster } from "./cluster/service.ts";
import { type CronOptions, Crons } from "./cron/service.ts";
import { openDatabase } from "./db/database.ts";
import { startEmbeddedPostgres } from "./db/embedded.ts";
import { Events } from "./db/events.ts";
import { type FileLimits, Files } from "./files/service.ts";
import { Fsck } from "./fsck/service.ts";
import { Doors } from "./gateway/service.ts";
import { buildApp, buildClusterApp } from "./http/app.ts";
import { sweepKeys } from "./http/idempotency.ts";
import { Images } from "./images/service.ts";
import { Dispatch, Jobs } from "./jobs/service.ts";
import { Sleep } from "./jobs/sleep.ts";
import { Logins } from "./logins/service.ts";
import { KeptLogs } from "./logs/kept.ts";
import { Members } from "./members/service.ts";
import { Metrics } from "./metrics/metrics.ts";
import { Overview } from "./metrics/overview.ts";
import { NodeAdmin } from "./nodes/admin.ts";
import { Nodes } from "./nodes/service.ts";
import { type QuotaDefaults, Quotas } from "./quotas/service.ts";
import { SecretKeys, Secrets } from "./secrets/service.ts";
import { Oidc, type OidcOptions } from "./sessions/oidc.ts";
import { Sessions } from "./sessions/service.ts";
import { SshKeys, type SshOptions } from "./ssh/service.ts";
import { type TokenOptions, Tokens } from "./tokens/service.ts";
import { type UrlOptions, Urls } from "./urls/service.ts";
import { UsageReports } from "./usage/service.ts";
import { type WebhookOptions, Webhooks } from "./webhooks/service.ts";
import {
  Collector,
  type CollectorOptions,
  Imports,
  Leases,
  Ledger,
  LiveWorkspaces,
  Quota,
  type QuotaLimits,
  Workspaces,
} from "./workspaces/service.ts";

export { type Restored, restoreBackup } from "./backup/restore.ts";
export { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from "./db/embedded.ts";
export { openApiDocument } from "./http/document.ts";

const KEY_SWEEP_MS = 3600_000;
const SECRET_SWEEP_MS = 60_000;
/** What is stored counts from one look to the next, so this is how exact its days are, `ms`. */
const STORAGE_LOOK_MS = 300_000;
const VISIT_LOOK_MS = 5000;
const IDLE_MINUTES = 10;
const LOG_DAYS = 30;
const FILE_SWEEP_MS = 60_000;
const NO_LIMITS: QuotaDefaults = { sandboxes: null, vcpus: null, memory_mb: null, jobs_per_minute: null };
const DELIVER_MS = 500;
const SEAL_MS = 500;
const CRON_FIRE_MS = 200;
const CRON_FOLLOW_MS = 500;

export interface ServerOptions {
  /** holds the embedded database (in `postgres`) when no `databaseUrl` is given */
  dataDir: string;
  /** port 0 takes a free one */
  listen: { host: string; port: number };
  /** PostgreSQL >= 15 to use instead of the embedded one */
  databaseUrl?: string | undefined;
  /** shared with agents and gateways on this machine; both directions carry it */
  nodeToken: string;
  /** lets other machines join, and is where they call; every server of the cluster has the same secret */
  cluster?: { listen: { host: string; port: number }; secret: string } | undefined;
  /** first token of the public API; replaces the one of the last start */
  adminToken: string;
  objects: ObjectStore;
  files: FileLimits;
  cron: CronOptions;
  tokens: TokenOptions;
  access?: AccessOptions | undefined;
  /** what an organisation may have up unless its own quota says otherwise; without limit by default */
  quotas?: QuotaDefaults | undefined;
  /** keys that secrets are encrypted with, base64 of 32 bytes; the first is used, the others still open older ones */
  secretKeys: string[];
  webhooks?: WebhookOptions | undefined;
  workspaces: WorkspaceOptions;
  /** how long logs are kept after the end of their job, 0 is for ever; 30 by default */
  logDays?: number | undefined;
  /** after which an unused persistent machine sleeps; 10 by default */
  idleMinutes?: number | undefined;
  /** opens `/metrics` and nothing else; without one only operators may read it */
  metricsToken?: string | undefined;
  /** directory of the built dashboard; without one there is none */
  dashboardDir?: string | undefined;
  /** directory of the pages below /docs */
  docsDir?: string | undefined;
  /** origins whose pages may call the API with a token; none by default, `*` is all */
  corsOrigins?: readonly string[] | undefined;
  /** what a gateway's URLs look like from outside */
  urls: UrlOptions;
  /** where a gateway answers SSH */
  ssh: SshOptions;
  logger: Logger;
  version: string;
}

/** How people reach the server and sign in. */
export interface AccessOptions {
  /** where browsers find the dashboard, without a path; the address it listens on by default */
  publicUrl?: string | undefined;
  /** whose X-Forwarded-… headers are believed, as addresses and networks */
  trustedProxies?: string[] | undefined;
  oidc?: OidcOptions | undefined;
}

export interface WorkspaceOptions extends CollectorOptions {
  quota: QuotaLimits;
  /** pause between two collections, `ms` */
  collectMs: number;
}

export interface Server {
  url: string;
  /** what an agent of this machine shows to other machines; undefined where none can join */
  credentialsOf(node: string): Promise<Credentials | undefined>;
  /** what a gateway of this machine shows to the agents of others */
  credentials: Credentials | undefined;
  /** Judges no lease while a node starts that is in the same process. */
  awaitNode(start: Promise<unknown>): void;
  /** Ends long polls and streams, then stops listening, the sweep and the embedded database. */
  close(): Promise<void>;
}

/**
 * Starts the control plane. Throws Error with what to do when the database cannot be started, reached or migrated, or
 * the address is taken; what had been started is stopped again.
 */
export async function startServer(options: ServerOptions): Promise<Server> {
  const cleanup = new Cleanup();
  try {
    const { url, cluster, dispatch } = await start(options, cleanup);
    return {
      url,
      credentialsOf: (node) => cluster.credentialsOf(node),
      credentials: cluster.credentials,
      awaitNode: (starting) => dispatch.awaitNode(starting),
      close: () => cleanup.run(),
    };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

async function start(
  { dataDir, listen, logger, version, nodeToken, adminToken, databaseUrl, ...options }: ServerOptions,
  cleanup: Cleanup,
): Promise<{ url: string; cluster: Cluster; dispatch: Dispatch }> {
  const url = databaseUrl ?? (await ownDatabase(dataDir, logger, cleanup));
  const db = await openDatabase(url, logger);
  cleanup.add("database connections", () => db.close());
  const events = new Events();
  await events.listen(url, logger);
  cleanup.add("notifications", () => events.close());

  const audit = new Audit(db);
  const tokens = new Tokens(db, events, options.tokens, logger);
  await tokens.setAdmin(adminToken);
  const { publicUrl = `http://${listen.host}:${listen.port}`, trustedProxies = [], oidc } = options.access ?? {};
  const members = new Members(db, events, publicUrl);
  const metrics = new Metrics();
  const cluster = await Cluster.open({ db, events, localToken: nodeToken, secret: options.cluster?.secret });
  const agents = new Agents({ token: nodeToken, credentials: cluster.credentials });
  const nodes = new Nodes(db, agents, logger);
  const files = new Files(db, options.objects, options.files, logger);
  const quota = new Quota(options.workspaces.quota);
  const live = new LiveWorkspaces(db, nodes);
  const quotas = new Quotas(db, events, quota, options.quotas ?? NO_LIMITS);
  const secretKeys = new SecretKeys(options.secretKeys);
  const secrets = new Secrets(db, secretKeys, audit, logger);
  const webhooks = new Webhooks(db, secretKeys, options.webhooks ?? { allow: [] }, logger);
  const leases = new Leases(db, events, quota);
  const jobs = new Jobs(db, events, { nodes, files, leases, quotas, secrets }, options.urls.appsUrl);
  const dispatch = new Dispatch(db, events, nodes, leases, cluster, {
    idleMinutes: options.idleMinutes ?? IDLE_MINUTES,
    metrics,
    secrets,
    logger,
  });
  const usage = new UsageReports(db);
  const crons = new Crons(db, jobs, metrics, options.cron, logger);
  const sleep = new Sleep(db, events, nodes, jobs, quotas);
  const urls = new Urls(db, jobs, options.urls);
  const sshKeys = new SshKeys(db, jobs, options.ssh);
  const { logDays: days = LOG_DAYS, objects } = options;
  const keptLogs = await KeptLogs.open({ db, objects, scratch: join(dataDir, "logs"), days });
  const access = new Access(sleep, nodes);
  const workspaces = new Workspaces(db, quota);
  const visits = new Visits({ db, jobs, access, workspaces, live, logger });
  const abandoned = new Abandoned(db, visits);
  dispatch.startSweeping();
  cleanup.add("sweep", () => dispatch.stopSweeping());
  const collector = new Collector(db, options.objects, options.workspaces, logger);
  for (const task of [
    repeat("collecting unused chunks", options.workspaces.collectMs, logger, (signal) => collector.round(signal)),
    repeat("removing old idempotency keys", KEY_SWEEP_MS, logger, () => sweepKeys(db)),
    repeat("encrypting secrets with the current key", KEY_SWEEP_MS, logger, (signal) => secrets.rotate(signal)),
    repeat("removing deleted secrets", SECRET_SWEEP_MS, logger, () => secrets.tidy()),
    repeat("delivering events", DELIVER_MS, logger, (signal) => webhooks.deliverDue(signal)),
    repeat("tidying webhooks", KEY_SWEEP_MS, logger, () => webhooks.tidy()),
    repeat("linking the audit log", SEAL_MS, logger, (signal) => audit.seal(signal)),
    repeat("removing expired files", FILE_SWEEP_MS, logger, (signal) => files.sweep(signal)),
    repeat("removing old logs", KEY_SWEEP_MS, logger, (signal) => keptLogs.sweep(signal)),
    repeat("firing schedules", CRON_FIRE_MS, logger, (signal) => crons.firing.fireDue(signal)),
    repeat("following the runs of schedules", CRON_FOLLOW_MS, logger, (signal) => crons.firing.follow(signal)),
    repeat("ending visits of servers that died", VISIT_LOOK_MS, logger, () => abandoned.look()),
    repeat("looking at what is stored", STORAGE_LOOK_MS, logger, () => usage.look()),
    repeat("removing old runs of schedules", KEY_SWEEP_MS, logger, () => crons.forgetOldRuns()),
  ])
    cleanup.add("background", () => task.stop());

  const nodeAdmin = new NodeAdmin(db, nodes, cluster);
  const closing = new AbortController();
  const context = {
    db,
    cluster,
    audit,
    quotas,
    usage,
    secrets,
    webhooks,
    tokens,
    sessions: new Sessions(db, tokens, members, audit),
    members,
    oidc: oidc && new Oidc(oidc, publicUrl),
    secureCookies: publicUrl.startsWith("https:"),
    trustedProxies,
    logins: new Logins(db, tokens),
    nodes,
    nodeAdmin,
    fsck: new Fsck({
      db,
      nodes,
      collector,
      objects: options.objects,
      graceMs: options.workspaces.graceMs,
      logger,
    }),
    metrics,
    overview: new Overview(db, nodeAdmin, metrics.registry),
    metricsToken: options.metricsToken,
    images: new Images(db, nodes),
    jobs,
    access,
    visits,
    keptLogs,
    files,
    crons,
    dispatch,
    sleep,
    urls,
    sshKeys,
    ledger: new Ledger(db, events, nodes, quota, metrics),
    doors: new Doors({ db, audit, urls, sshKeys, jobs, nodes, sleep }),
    workspaces,
    live,
    imports: new Imports(db, quota, live),
    collector,
    databaseUrl: url,
    version,
    dashboardDir: options.dashboardDir,
    docsDir: options.docsDir,
    corsOrigins: options.corsOrigins,
    logger,
    closing: closing.signal,
  };
  const app = await buildApp(context);
  cleanup.add("http", () => app.close());
  if (options.cluster && cluster.credentials) {
    const inner = await buildClusterApp(context, cluster.credentials);
    cleanup.add("cluster", () => inner.close());
    await inner.listen(options.cluster.listen).catch(taken("MAGS_CLUSTER_LISTEN"));
  }
  cleanup.add("long polls", () => closing.abort());
  return { url: await app.listen({ host: listen.host, port: listen.port }), cluster, dispatch };
}

async function ownDatabase(dataDir: string, logger: Logger, cleanup: Cleanup): Promise<string> {
  const postgres = await startEmbeddedPostgres({ dir: join(dataDir, "postgres"), logger });
  cleanup.add("embedded PostgreSQL", () => postgres.close());
  return postgres.url;
}

const taken = (setting: string) => (cause: NodeJS.ErrnoException) => {
  if (cause.code !== "EADDRINUSE" && cause.code !== "EADDRNOTAVAIL" && cause.code !== "EACCES") throw cause;
  throw new Error(`${setting}: ${cause.message}`, { cause });
};
