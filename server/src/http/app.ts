import { randomUUID } from "node:crypto";
import type { SecureContextOptions } from "node:tls";
import cookie from "@fastify/cookie";
import cors from "@fastify/cors";
import swagger from "@fastify/swagger";
import websocket from "@fastify/websocket";
import type { Credentials } from "@mags/kit";
import { jobLimits, MAX_FRAME_BYTES } from "@mags/protocol";
import { type FastifyInstance, fastify } from "fastify";
import { jsonSchemaTransform, serializerCompiler } from "fastify-type-provider-zod";
import { sandboxFileRoutes } from "../access/files/routes.ts";
import { workspaceFileRoutes } from "../access/files/workspace-routes.ts";
import { accessRoutes } from "../access/routes.ts";
import { auditRequests } from "../audit/hooks.ts";
import { auditRoutes } from "../audit/routes.ts";
import { backupRoutes } from "../backup/routes.ts";
import { clusterRoutes } from "../cluster/routes.ts";
import { cronRoutes } from "../cron/routes.ts";
import { fileRoutes } from "../files/routes.ts";
import { fsckRoutes } from "../fsck/routes.ts";
import { gatewayRoutes } from "../gateway/routes.ts";
import { imageRoutes } from "../images/routes.ts";
import { moreJobRoutes } from "../jobs/more-routes.ts";
import { jobRoutes } from "../jobs/routes.ts";
import { approveLoginRoute, exchangeLoginRoute } from "../logins/routes.ts";
import { logRoutes } from "../logs/routes.ts";
import { memberRoutes } from "../members/routes.ts";
import { metricsRoutes } from "../metrics/routes.ts";
import { nodeAdminRoutes } from "../nodes/admin-routes.ts";
import { nodeRoutes } from "../nodes/routes.ts";
import { quotaRoutes } from "../quotas/routes.ts";
import { secretRoutes } from "../secrets/routes.ts";
import { ownRoutes, sessionRoutes } from "../sessions/routes.ts";
import { sshRoutes } from "../ssh/routes.ts";
import { tokenRoutes } from "../tokens/routes.ts";
import { urlRoutes } from "../urls/routes.ts";
import { usageNodeRoutes, usageRoutes } from "../usage/routes.ts";
import { webhookRoutes } from "../webhooks/routes.ts";
import { workspaceNodeRoutes } from "../workspaces/node-routes.ts";
import { workspaceRoutes } from "../workspaces/routes.ts";
import { requireToken } from "./auth.ts";
import type { App, Context } from "./context.ts";
import { dashboardRoutes } from "./dashboard.ts";
import { docRoutes } from "./docs.ts";
import { installErrorHandling, refuseUnreadable, refuseUnroutable } from "./errors.ts";
import { healthRoutes } from "./health.ts";
import { openapi } from "./openapi.ts";
import { validatorCompiler } from "./validation.ts";

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Composes the HTTP side of the server; it does not listen yet. */
export async function buildApp(context: Context): Promise<FastifyInstance> {
  const app = frame(context);
  await app.register(swagger, { openapi: openapi(context.version), transform: jsonSchemaTransform });
  await app.register(cookie);
  await app.register(websocket, { options: { maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false } });
  await app.register(internalRoutes(context));
  await app.register(publicRoutes(context, { hide: false }), { prefix: "/api/v1" });
  await app.register(publicRoutes(context, { hide: true }), { prefix: "/api/v2" });
  await app.register(healthRoutes(context) as never);
  await app.register(metricsRoutes(context) as never);
  await app.register(docRoutes(context.docsDir) as never);
  await app.register(dashboardRoutes(context.dashboardDir) as never);
  await app.ready();
  return app;
}

/** Likewise what other machines of the cluster call, over TLS only. */
export async function buildClusterApp(context: Context, { certificate, key }: Credentials): Promise<FastifyInstance> {
  const app = frame(context, { cert: certificate, key, minVersion: "TLSv1.3" });
  await app.register(internalRoutes(context));
  await app.register(clusterRoutes(context) as never, { prefix: "/cluster/v1" });
  await app.ready();
  return app;
}

/** What every listener does alike. */
function frame(context: Context, https: SecureContextOptions | null = null): FastifyInstance {
  const app = fastify({
    https,
    bodyLimit: jobLimits.bodyBytes,
    forceCloseConnections: true,
    frameworkErrors: refuseUnroutable as never,
    clientErrorHandler: refuseUnreadable as never,
    trustProxy: context.trustedProxies.length > 0 ? context.trustedProxies : false,
    routerOptions: { maxParamLength: 512 },
    // A client's own id is kept when it is fit for a header and a log line.
    genReqId: ({ headers }) =>
      typeof headers["x-request-id"] === "string" && REQUEST_ID.test(headers["x-request-id"])
        ? headers["x-request-id"]
        : randomUUID(),
  }) as unknown as FastifyInstance;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  acceptJson(app);
  app.decorateRequest("caller", undefined);
  app.decorateRequest("machine", undefined);
  app.addHook("onRequest", async (request, reply) => {
    reply.header("X-Request-Id", request.id);
    // The connection of an upgrade that is refused ends, which who sent it must know before using it again.
    if (request.headers.upgrade !== undefined) reply.header("Connection", "close");
  });
  app.addHook("onResponse", async (request, reply) => {
    context.metrics.answered(request, reply);
    const { method, routeOptions, id } = request;
    const line = { request: id, method, route: routeOptions.url, status: reply.statusCode, ms: reply.elapsedTime };
    context.logger.debug(line, "answered");
  });
  installErrorHandling(app, rememberRoutes(app), context.logger);
  return app;
}

/** What agents and gateways call. */
function internalRoutes(context: Context) {
  return async (app: FastifyInstance): Promise<void> => {
    await app.register(nodeRoutes(context) as never, { prefix: "/node/v1" });
    await app.register(workspaceNodeRoutes(context) as never, { prefix: "/node/v1" });
    await app.register(usageNodeRoutes(context) as never, { prefix: "/node/v1" });
    await app.register(gatewayRoutes(context) as never, { prefix: "/gateway/v1" });
  };
}

/** The same routes under each version; only one of them is documented. */
function publicRoutes(context: Context, { hide }: { hide: boolean }) {
  return async (app: FastifyInstance): Promise<void> => {
    app.addHook("onRoute", (route) => {
      if (hide || route.method === "HEAD") route.schema = { ...route.schema, hide: true };
    });
    if (context.corsOrigins?.length) await app.register(cors, corsOptions(context.corsOrigins));
    await app.register(sessionRoutes(context) as never);
    await app.register(exchangeLoginRoute(context) as never);
    await app.register(async (guarded) => {
      guarded.decorateRequest("audited", undefined);
      guarded.addHook("onRequest", requireToken(context.tokens, context.sessions));
      auditRequests(guarded, context);
      await guarded.register(async (scope) => {
        await jobRoutes(context)(scope as unknown as App);
        await moreJobRoutes(context)(scope as unknown as App);
        await logRoutes(context)(scope as unknown as App);
        await accessRoutes(context)(scope as unknown as App);
        await workspaceRoutes(context)(scope as unknown as App);
      });
      await guarded.register(sandboxFileRoutes(context) as never);
      await guarded.register(imageRoutes(context) as never);
      await guarded.register(tokenRoutes(context) as never);
      await guarded.register(approveLoginRoute(context) as never);
      await guarded.register(nodeAdminRoutes(context) as never);
      await guarded.register(backupRoutes(context) as never);
      await guarded.register(fsckRoutes(context) as never);
      await guarded.register(ownRoutes(context) as never);
      await guarded.register(auditRoutes(context) as never);
      await guarded.register(quotaRoutes(context) as never);
      await guarded.register(usageRoutes(context) as never);
      await guarded.register(webhookRoutes(context) as never);
      await guarded.register(secretRoutes(context) as never);
      await guarded.register(memberRoutes(context) as never);
      await guarded.register(workspaceFileRoutes(context) as never);
      await guarded.register(cronRoutes(context) as never);
      await guarded.register(fileRoutes(context) as never);
      await guarded.register(urlRoutes(context) as never);
      await guarded.register(sshRoutes(context) as never);
    });
  };
}

/** Pages of these origins may call the API with a token of their own; the dashboard's cookie is never for them. */
const corsOptions = (origins: readonly string[]) => ({
  origin: origins.includes("*") ? "*" : [...origins],
  exposedHeaders: ["X-Request-Id", "Retry-After", "Idempotency-Replayed"],
  maxAge: 600,
});

/** An empty body counts as none, because clients send the JSON content type with every POST. */
function acceptJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser("ignore", "ignore");
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    if (body === "") done(null, undefined);
    else parse(request, body as string, done);
  });
}

/** Notes all routes; the result tells which methods a path knows, so that a wrong one is told from an unknown path. */
function rememberRoutes(app: FastifyInstance): (path: string) => string[] {
  const routes: { pattern: RegExp; methods: string[] }[] = [];
  app.addHook("onRoute", ({ url, method }) => {
    // A wildcard answers what it finds behind it; it tells nothing of single paths.
    if (url.includes("*")) return;
    const pattern = new RegExp(`^${url.replace(/:[^/]+/g, "[^/]+")}/?$`);
    routes.push({ pattern, methods: [method].flat() });
  });
  return (path) =>
    [...new Set(routes.filter((route) => route.pattern.test(path)).flatMap((route) => route.methods))].sort();
}
