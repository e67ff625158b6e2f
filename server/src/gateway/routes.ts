import { ApiError, ResolveDoor, ResolvedDoor, SshLogin } from "@mags/protocol";
import { z } from "zod";
import { type App, type Context, hangUp } from "../http/context.ts";
import { requireMachine } from "../http/machines.ts";

/** What gateways call (see `protocol/src/gateway.ts`), and what a TLS proxy in front of them asks. */
export function gatewayRoutes({ doors, urls, cluster, closing }: Context) {
  return async (app: App): Promise<void> => {
    app.post(
      "/resolve",
      {
        onRequest: requireMachine(cluster, "gateway"),
        schema: { hide: true, body: ResolveDoor, response: { 200: ResolvedDoor } },
      },
      ({ body }, reply) => doors.resolve(body, hangUp(reply, closing)),
    );
    app.post(
      "/login",
      {
        onRequest: requireMachine(cluster, "gateway"),
        schema: { hide: true, body: SshLogin, response: { 200: z.object({}) } },
      },
      async ({ body, id }) => {
        await doors.noteLogin(body, id);
        return {};
      },
    );
    // Without a token: a proxy such as Caddy sends none, and whoever calls a URL learns as much.
    app.get(
      "/ask",
      { schema: { hide: true, querystring: z.object({ domain: z.string().max(253) }) } },
      async ({ query }) => {
        if (await urls.exists(query.domain)) return {};
        throw new ApiError("not_found", "there is no URL of that host name");
      },
    );
  };
}
