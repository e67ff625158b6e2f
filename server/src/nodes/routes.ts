import { ApiError, ClaimJobs, LeaveCluster, RegisterNode, RenewLeases, ReportJob } from "@mags/protocol";
import { acting, whoActs } from "../db/acting.ts";
import { type App, type Context, hangUp } from "../http/context.ts";
import { requireMachine, speaksForItself } from "../http/machines.ts";

/** What agents call; see `protocol/src/node.ts`. */
export function nodeRoutes({ dispatch, nodeAdmin, cluster, closing }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("onRequest", requireMachine(cluster, "agent"));
    app.addHook("preHandler", speaksForItself);
    // What a node is given is noted with its address.
    app.addHook("preHandler", (request, _, done) => acting.run({ ...whoActs(), address: request.ip }, done));
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
    app.post("/report", { schema: { hide: true, body: ReportJob } }, async ({ body, machine }) => {
      await dispatch.report(body, machine?.node);
      return { ok: true };
    });
    app.post("/leave", { schema: { hide: true, body: LeaveCluster } }, async ({ body, machine }) => {
      if (machine?.node === undefined) throw new ApiError("conflict", "this machine has not joined");
      await nodeAdmin.remove(machine.node, body.force);
      return { left: true };
    });
  };
}
