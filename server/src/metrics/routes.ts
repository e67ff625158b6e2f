import { timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { requireToken } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";
import { hashToken } from "../tokens/service.ts";

/** `GET /metrics`, for Prometheus: with the token that is for nothing else, or one with the scope operator. */
export function metricsRoutes({ metrics, overview, metricsToken, tokens, sessions }: Context) {
  const guard = requireToken(tokens, sessions);
  const expected = metricsToken === undefined ? undefined : Buffer.from(hashToken(`Bearer ${metricsToken}`));
  const isScraper = ({ headers }: FastifyRequest) =>
    expected !== undefined && timingSafeEqual(Buffer.from(hashToken(headers.authorization ?? "")), expected);
  return async (app: App): Promise<void> => {
    app.get(
      "/metrics",
      {
        config: { scope: "operator" },
        schema: { hide: true } as never,
        onRequest: async (request: FastifyRequest) => {
          if (!isScraper(request)) await guard(request);
        },
      },
      async (_, reply) => {
        await overview.refresh();
        return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
      },
    );
  };
}
