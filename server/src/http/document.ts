import { buildApp } from "./app.ts";
import type { Context } from "./context.ts";

/** Makes the OpenAPI document without a database: the routes are declared, never called. */
export async function openApiDocument(version: string): Promise<object> {
  const unused = {} as Context;
  const app = await buildApp({
    ...unused,
    version,
    trustedProxies: [],
    dashboardDir: undefined,
    docsDir: undefined,
    corsOrigins: undefined,
    closing: new AbortController().signal,
  });
  const document = (app as unknown as { swagger(): object }).swagger();
  await app.close();
  return document;
}
