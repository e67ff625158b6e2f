import type { Logger } from "@mags/kit";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { Access } from "../access/service.ts";
import type { Visits } from "../access/visits.ts";
import type { Audit } from "../audit/service.ts";
import type { Cluster } from "../cluster/service.ts";
import type { Crons } from "../cron/service.ts";
import type { Database } from "../db/database.ts";
import type { Files } from "../files/service.ts";
import type { Fsck } from "../fsck/service.ts";
import type { Doors } from "../gateway/service.ts";
import type { Images } from "../images/service.ts";
import type { Dispatch, Jobs } from "../jobs/service.ts";
import type { Sleep } from "../jobs/sleep.ts";
import type { Logins } from "../logins/service.ts";
import type { KeptLogs } from "../logs/kept.ts";
import type { Members } from "../members/service.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Overview } from "../metrics/overview.ts";
import type { NodeAdmin } from "../nodes/admin.ts";
import type { Nodes } from "../nodes/service.ts";
import type { Quotas } from "../quotas/service.ts";
import type { Secrets } from "../secrets/service.ts";
import type { Oidc } from "../sessions/oidc.ts";
import type { Sessions } from "../sessions/service.ts";
import type { SshKeys } from "../ssh/service.ts";
import type { Tokens } from "../tokens/service.ts";
import type { Urls } from "../urls/service.ts";
import type { UsageReports } from "../usage/service.ts";
import type { Webhooks } from "../webhooks/service.ts";
import type { Collector, Imports, Ledger, LiveWorkspaces, Workspaces } from "../workspaces/service.ts";

/** Everything the routes may call. */
export interface Context {
  db: Database;
  audit: Audit;
  quotas: Quotas;
  usage: UsageReports;
  secrets: Secrets;
  webhooks: Webhooks;
  tokens: Tokens;
  sessions: Sessions;
  members: Members;
  /** undefined where no provider is set up */
  oidc: Oidc | undefined;
  /** browsers reach this server by HTTPS alone */
  secureCookies: boolean;
  cluster: Cluster;
  logins: Logins;
  nodes: Nodes;
  nodeAdmin: NodeAdmin;
  fsck: Fsck;
  images: Images;
  jobs: Jobs;
  access: Access;
  visits: Visits;
  keptLogs: KeptLogs;
  files: Files;
  crons: Crons;
  dispatch: Dispatch;
  sleep: Sleep;
  ledger: Ledger;
  urls: Urls;
  sshKeys: SshKeys;
  doors: Doors;
  workspaces: Workspaces;
  live: LiveWorkspaces;
  imports: Imports;
  collector: Collector;
  metrics: Metrics;
  overview: Overview;
  /** opens `/metrics` and nothing else; without one only operators may read it */
  metricsToken: string | undefined;
  /** for who needs a connection of its own */
  databaseUrl: string;
  /** whose X-Forwarded-For and -Proto are believed */
  trustedProxies: string[];
  version: string;
  /** directory of the built dashboard; without one there is none */
  dashboardDir: string | undefined;
  /** directory of the pages below /docs; without one there is the API reference alone */
  docsDir: string | undefined;
  /** origins whose pages may call the API; `*` is all */
  corsOrigins: readonly string[] | undefined;
  logger: Logger;
  /** aborts when the server closes, so that long polls and streams end */
  closing: AbortSignal;
}

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

/** The answer itself, for a stream of our own writing, with the headers that hooks have set: request id, origins. */
export function rawOf(reply: FastifyReply): FastifyReply["raw"] {
  for (const [name, value] of Object.entries(reply.getHeaders()))
    if (value !== undefined) reply.raw.setHeader(name, value);
  return reply.raw;
}

/** Aborts when the client hangs up or the server closes. */
export function hangUp(reply: FastifyReply, closing: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort();
  if (reply.raw.destroyed || closing.aborted) abort();
  closing.addEventListener("abort", abort, { once: true });
  reply.raw.once("close", () => {
    closing.removeEventListener("abort", abort);
    abort();
  });
  return controller.signal;
}
