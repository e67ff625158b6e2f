import { timingSafeEqual } from "node:crypto";
import type { Logger } from "@mags/kit";
import { type Activity, ApiError, type NodeStatus } from "@mags/protocol";
import fastify from "fastify";
import type { z } from "zod";
import { acceptVisitors, type Visited } from "./access/index.ts";
import type { Metrics } from "./jobs/metrics.ts";
import type { JobNode } from "./jobs/node.ts";
import type { JobRecords } from "./jobs/record.ts";
import { logRoutes } from "./logs/index.ts";
import type { Pool } from "./pool/pool.ts";
import { type Workspaces, workspaceRoutes } from "./workspaces/index.ts";

export interface AgentApi {
  node: () => JobNode | undefined;
  pool: () => Pool | undefined;
  metrics: Metrics;
  workspaces: Workspaces;
  /** room for volumes, `bytes` */
  space: () => Promise<{ total: number; free: number }>;
  records: JobRecords;
  nodeToken: string;
  processSecret: string | undefined;
  logger: Logger;
}

/** The agent's own API, for server and gateway only: logs, stop, pool, ways into sandboxes. Listens on loopback; answers 401 without the node token. */
export async function startApi(options: AgentApi): Promise<{ address: string; close(): Promise<void> }> {
  const app = fastify({ forceCloseConnections: true });
  const expected = Buffer.from(`Bearer ${options.nodeToken}`);
  app.setErrorHandler((error, _request, reply) => {
    const known = error instanceof ApiError ? error : new ApiError("internal", (error as Error).message);
    return reply.status(known.status).send(known.toBody());
  });
  const authorize = ({ headers }: { headers: { authorization?: string | undefined } }) => {
    const given = Buffer.from(headers.authorization ?? "");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new ApiError("unauthorized", "the node token is missing or wrong");
    }
  };
  app.addHook("onRequest", async (request) => authorize(request));
  await app.register(async (scope) =>
    logRoutes(scope, {
      find: (id: string) => ({ dir: options.records.directory(id), live: options.node()?.job(id)?.capture }),
    }),
  );
  await app.register(async (scope) =>
    workspaceRoutes(scope, { workspaces: options.workspaces, job: (id) => options.node()?.job(id) }),
  );
  app.post<{ Params: { id: string } }>("/agent/v1/jobs/:id/stop", async (request, reply) => {
    options.node()?.job(request.params.id)?.stop();
    return reply.status(202).send({});
  });
  app.post<{ Params: { id: string } }>("/agent/v1/jobs/:id/sleep", async (request, reply) => {
    void options.node()?.job(request.params.id)?.sleep("somebody asked for it", true);
    return reply.status(202).send({});
  });
  app.get("/agent/v1/pool", async () => {
    const pool = options.pool();
    if (!pool) throw new ApiError("unavailable", "the pool is not there yet");
    return pool.status();
  });
  app.get("/agent/v1/status", async () => {
    const pool = options.pool();
    if (!pool) throw new ApiError("unavailable", "the pool is not there yet");
    const { total, free } = await options.space();
    return { pool: pool.status(), disk: { total_bytes: total, free_bytes: free } } satisfies NodeStatus;
  });
  app.get<{ Params: { id: string } }>("/agent/v1/jobs/:id/activity", async (request) => {
    const { sandbox, activity } = visited(options, request.params.id);
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
  const address = await app.listen({ host: "127.0.0.1", port: 0 });
  const close = async () => {
    closeVisits();
    await app.close();
  };
  return { address, close };
}

/** Throws ApiError not_found, or unavailable while the job has no machine. */
function visited({ node }: AgentApi, id: string): Visited {
  const job = node()?.job(id);
  if (!job) throw new ApiError("not_found", `job ${id} is not on this node`);
  const { sandbox, environment, activity } = job;
  if (!sandbox) throw new ApiError("unavailable", `job ${id} has no machine now`);
  return { sandbox, environment, activity };
}
