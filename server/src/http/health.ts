import { ApiError } from "@mags/protocol";
import { z } from "zod";
import type { App, Context } from "./context.ts";

const Health = z.object({ status: z.string(), version: z.string() });
const NotReady = z.object({ status: z.literal("unavailable"), message: z.string(), missing: z.array(z.string()) });
const schema = { tags: ["health"], security: [] };

export function healthRoutes({ db, nodes, version, logger }: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/healthz",
      {
        schema: {
          ...schema,
          operationId: "healthz",
          summary: "Is the server alive",
          description: "Answers as long as the process does.",
          response: { 200: Health },
        },
      },
      async () => ({ status: "ok", version }),
    );
    app.get(
      "/readyz",
      {
        schema: {
          ...schema,
          operationId: "readyz",
          summary: "Can jobs run",
          description: "503 names what is missing: the database, or a node.",
          response: { 200: Health, 503: NotReady },
        },
      },
      async (_, reply) => {
        const missing = await findMissing();
        if (missing.length === 0) return { status: "ready", version };
        return reply.status(503).send({ status: "unavailable", message: `not ready: ${missing.join("; ")}`, missing });
      },
    );
    app.get("/openapi.json", { schema: { hide: true } as never }, async () =>
      (app as unknown as { swagger(): object }).swagger(),
    );
  };

  async function findMissing(): Promise<string[]> {
    try {
      await db.query("SELECT 1");
      return (await nodes.ready()).length > 0 ? [] : ["no node has reported in the last 15 seconds"];
    } catch (err) {
      if (!(err instanceof ApiError)) logger.warn({ err: (err as Error).message }, "the database does not answer");
      return ["the database does not answer"];
    }
  }
}
