import { ClaimJobs, RegisterNode, RenewLeases, ReportJob } from "@mags/protocol";
import { requireNodeToken } from "../http/auth.ts";
import { type App, type Context, hangUp } from "../http/context.ts";

/** What agents call; see `protocol/src/node.ts`. */
export function nodeRoutes({ dispatch, nodeToken, closing }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("onRequest", requireNodeToken(nodeToken));
    app.post("/register", { schema: { hide: true, body: RegisterNode } }, ({ body }) => dispatch.register(body));
    app.post("/claim", { schema: { hide: true, body: ClaimJobs } }, async ({ body }, reply) => {
      const signal = hangUp(reply, closing);
      const jobs = await dispatch.claim(body, signal);
      if (signal.aborted && jobs.length > 0) {
        await dispatch.release(jobs);
        return { jobs: [] };
      }
      return { jobs };
    });
    app.post("/renew", { schema: { hide: true, body: RenewLeases } }, ({ body }) => dispatch.renew(body));
    app.post("/report", { schema: { hide: true, body: ReportJob } }, async ({ body }) => {
      await dispatch.report(body);
      return { ok: true };
    });
  };
}
