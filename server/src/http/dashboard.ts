import { existsSync } from "node:fs";
import { join } from "node:path";
import serveStatic from "@fastify/static";
import type { FastifyReply } from "fastify";
import type { App } from "./context.ts";

/** Nothing from elsewhere, nothing inline but styles (the terminal sets some), and no page may frame it. */
export const PROTECTION = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
};

const SECTIONS = [
  "sign-in",
  "invite",
  "approve",
  "jobs",
  "workspaces",
  "cron",
  "urls",
  "tokens",
  "members",
  "secrets",
  "audit",
  "usage",
  "webhooks",
  "quota",
  "system",
];
const PAGES = ["/", ...SECTIONS.flatMap((section) => [`/${section}`, `/${section}/*`])];
const WITHOUT = "Mags runs. The API is described at /docs; the dashboard is not built here (npm run dashboard).\n";

/** The dashboard: one page for all its addresses, and the files that it is made of. */
export function dashboardRoutes(dir: string | undefined) {
  return async (app: App): Promise<void> => {
    if (dir === undefined || !existsSync(join(dir, "index.html"))) {
      app.get("/", { schema: { hide: true } as never }, async (_, reply) =>
        reply.type("text/plain; charset=utf-8").send(WITHOUT),
      );
      return;
    }
    // Names of built files hold a hash of their content; the page that refers to them has to be asked for anew.
    await app.register(serveStatic, {
      root: dir,
      wildcard: false,
      index: false,
      setHeaders: (reply, path) => {
        for (const [name, value] of Object.entries(PROTECTION)) reply.header(name, value);
        reply.header("Cache-Control", path.includes("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
      },
    });
    for (const page of PAGES) {
      app.get(page, { schema: { hide: true } as never }, (_, reply) =>
        (reply as unknown as FastifyReply).sendFile("index.html"),
      );
    }
  };
}
