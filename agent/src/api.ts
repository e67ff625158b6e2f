import { timingSafeEqual } from "node:crypto";
import { ApiError } from "@mags/protocol";
import fastify from "fastify";
import type { JobNode } from "./jobs/node.ts";
import type { JobRecords } from "./jobs/record.ts";
import { logRoutes } from "./logs/index.ts";
import type { Pool } from "./pool/pool.ts";

export interface AgentApi {
  node: () => JobNode | undefined;
  pool: () => Pool | undefined;
  records: JobRecords;
  nodeToken: string;
}

/** The agent's own API, for the server only: logs, stop, pool. Listens on loopback; answers 401 without the node token. */
export async function startApi(options: AgentApi): Promise<{ address: string; close(): Promise<void> }> {
  const app = fastify({ forceCloseConnections: true });
  const expected = Buffer.from(`Bearer ${options.nodeToken}`);
  app.setErrorHandler((error, _request, reply) => {
    const known = error instanceof ApiError ? error : new ApiError("internal", (error as Error).message);
    return reply.status(known.status).send(known.toBody());
  });
  app.addHook("onRequest", async (request) => {
    const given = Buffer.from(request.headers.authorization ?? "");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new ApiError("unauthorized", "the node token is missing or wrong");
    }
  });
  await app.register(async (scope) =>
    logRoutes(scope, {
      find: (id: string) => ({ dir: options.records.directory(id), live: options.node()?.job(id)?.log }),
    }),
  );
  app.post<{ Params: { id: string } }>("/agent/v1/jobs/:id/stop", async (request, reply) => {
    options.node()?.job(request.params.id)?.stop();
    return reply.status(202).send({});
  });
  app.get("/agent/v1/pool", async () => {
    const pool = options.pool();
    if (!pool) throw new ApiError("unavailable", "the pool is not there yet");
    return pool.status();
  });
  const address = await app.listen({ host: "127.0.0.1", port: 0 });
  return { address, close: () => app.close() };
}
