import serveStatic from "@fastify/static";
import swaggerUi from "@fastify/swagger-ui";
import type { FastifyReply } from "fastify";
import type { App } from "./context.ts";
import { PROTECTION } from "./dashboard.ts";

/**
 * `/docs`, the API reference, drawn from the OpenAPI document with files of this server only; below it the pages of
 * `dir` as Markdown, and `/llms.txt`, which leads language models to them.
 */
export function docRoutes(dir: string | undefined) {
  return async (app: App): Promise<void> => {
    app.addHook("onSend", async (_, reply) => void reply.headers(PROTECTION));
    await app.register(
      swaggerUi as never,
      {
        routePrefix: "/docs",
        theme: { title: "Mags API" },
        // Its default asks a server elsewhere whether the document is valid.
        uiConfig: { validatorUrl: null, docExpansion: "list", deepLinking: true },
        staticCSP: PROTECTION["Content-Security-Policy"],
      } as never,
    );
    if (dir === undefined) return;
    await app.register(serveStatic, {
      root: dir,
      prefix: "/docs/",
      wildcard: false,
      index: false,
      setHeaders: (reply, path) => {
        if (path.endsWith(".md")) reply.header("Content-Type", "text/markdown; charset=utf-8");
      },
    });
    app.get("/llms.txt", { schema: { hide: true } as never }, (_, reply) =>
      (reply as unknown as FastifyReply).sendFile("llms.txt", dir),
    );
  };
}
