import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import type { Credentials, Logger } from "@mags/kit";

import { type Activity, ApiError, type NodeRuntimes, type NodeStatus, rawAnswer } from "@mags/protocol";
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from "fastify";

import type { z } from "zod";
import { acceptVisitors, type Visited } from "./access/index.ts";
import type { Audit } from "./audit/audit.ts";
import { auditRoutes } from "./audit/routes.ts";
import { type Images, imageRoutes } from "./images/index.ts";
import type { Metrics } from "./jobs/metrics.ts";
import type { JobNode } from "./jobs/node.ts";
import type { JobRecords } from "./jobs/record.ts";
import { logRoutes } from "./logs/index.ts";
import type { Pool } from "./pool/pool.ts";
import { type Workspaces, workspaceRoutes } from "./workspaces/index.ts";

export interface AgentApi {
  node: () => JobNode | undefined;
  pool: () => Pool | undefined;
  runtimes: NodeRuntimes;
  metrics: Metrics;
  images: Images;
  workspaces: Workspaces;
  audit: () => Audit | undefined;
  /** room for volumes, `bytes` */
  space: () => Promise<{ total: number; free: number }>;
  records: JobRecords;
  nodeToken: string;
  processSecret: string | undefined;
  listen: { host: string; port: number };
  /** with them it speaks TLS, and whoever calls has to show a certificate for that */
  credentials?: Credentials | undefined;
  logger: Logger;
}

/**
 * The agent's own API, for server and gateway only: logs, stop, pool, ways into sandboxes. On loopback it answers 401 without the
 * node token; with credentials it listens for other machines, and a connection without a certificate of the cluster that may
 * call agents does not come about.
 */
export async function startApi(options: AgentApi): Promise<{
  address: string;
  /** lets those in no more whose certificates have these ids */
  refuse(ids: string[]): void;
  close(): Promise<void>;
}> {
  const { credentials, listen } = options;
  const https = credentials && {
    ca: credentials.authority,
    cert: credentials.certificate,
    key: credentials.key,
    minVersion: "TLSv1.3" as const,
    requestCert: true,
    rejectUnauthorized: true,
  };
  const app = fastify({
    forceCloseConnections: true,
    https: https ?? null,
    frameworkErrors: (error, _request, reply) => void answerError(error, reply),
    clientErrorHandler: (_error, socket) => void socket.end(rawAnswer(new ApiError("invalid_request", "no HTTP"))),
  }) as unknown as FastifyInstance;
  const expected = Buffer.from(`Bearer ${options.nodeToken}`);
  let refused = new Set<string>();
  app.setErrorHandler((error, _request, reply) => answerError(error as FastifyError, reply));
  const authorize = ({ headers, socket }: IncomingMessage) => {
    if (socket instanceof TLSSocket) {
      const { subject } = socket.getPeerCertificate();
      if (socket.authorized && typeof subject?.CN === "string" && !refused.has(subject.CN)) return;
      throw new ApiError("unauthorized", "the machine has left the cluster");
    }
    const given = Buffer.from(headers.authorization ?? "");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new ApiError("unauthorized", "the node token is missing or wrong");
    }
  };
  app.addHook("onRequest", async (request) => authorize(request.raw));
  await app.register(async (scope) =>
    logRoutes(scope, {
      find: (id: string) => ({ dir: options.records.directory(id), live: options.node()?.job(id)?.capture }),
    }),
  );
  await app.register(async (scope) =>
    workspaceRoutes(scope, { workspaces: options.workspaces, job: (id) => options.node()?.job(id) }),
  );
  auditRoutes(app, options.audit, options.workspaces);
  await app.register(async (scope) => imageRoutes(scope, options.images));
  app.post<{ Params: { id: string } }>("/agent/v1/jobs/:id/stop", async (request, reply) => {
    options.node()?.job(request.params.id)?.stop();
    return reply.status(202).send({});
  });
  app.post<{ Params: { id: string } }>("/agent/v1/jobs/:id/sleep", async (request, reply) => {
    void options.node()?.job(request.params.id)?.sleep("somebody asked for it", true);
    return reply.status(202).send({});
  });
  app.get("/agent/v1/status", async () => {
    const pool = options.pool();
    if (!pool) throw new ApiError("unavailable", "the pool is not there yet");
    const { total, free } = await options.space();
    const disk = { total_bytes: total, free_bytes: free };
    return { pool: pool.status(), disk, runtimes: options.runtimes } satisfies NodeStatus;
  });
  app.get<{ Params: { id: string } }>("/agent/v1/jobs/:id/activity", async (request) => {
    const { sandbox, activity } = await visited(options, request.params.id);
    const known = { open_connections: activity.open, last_used_at: new Date(activity.lastUsed).toISOString() };
    return { ...known, ...(await sandbox.stats()) } satisfies z.infer<typeof Activity>;
  });
  app.get<{ Params: { id: string } }>("/agent/v1/jobs/:id/metrics", async (request) => {
    const job = options.node()?.job(request.params.id);
    const measured = job && options.metrics.of(job);
    if (!measured) throw new ApiError("not_found", `job ${request.params.id} has no machine on this node`);
    return measured;
  });
  const closeVisits = acceptVisitors(app.server, {
    find: (id) => visited(options, id),
    authorize,
    processSecret: options.processSecret,
    logger: options.logger,
  });
  const address = await app.listen(listen);
  const close = async () => {
    closeVisits();
    await app.close();
  };
  return {
    address,
    refuse: (ids) => {
      refused = new Set(ids);
    },
    close,
  };
}

function answerError(error: FastifyError | ApiError, reply: FastifyReply): FastifyReply {
  const known = error instanceof ApiError ? error : new ApiError(faultOf(error), error.message);
  return reply.status(known.status).send(known.toBody());
}

const faultOf = ({ statusCode = 500 }: FastifyError) =>
  statusCode === 415 ? "unsupported_media_type" : statusCode < 500 ? "invalid_request" : "internal";

/** Throws ApiError not_found, or unavailable while the job has no machine. */
async function visited({ node }: AgentApi, id: string): Promise<Visited> {
  // What an earlier agent process had is unknown only until this one has taken it up.
  await node()?.takenUp;
  const job = node()?.job(id);
  if (!job) throw new ApiError("not_found", `job ${id} is not on this node`);
  const { sandbox, environment, activity } = job;
  if (!sandbox) throw new ApiError("unavailable", `job ${id} has no machine now`);
  return { sandbox, environment, activity };
}
