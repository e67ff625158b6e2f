import { ClaimChunks, CommitVersion, ReportWorkspaces } from "@mags/protocol";
import type { App, Context } from "../http/context.ts";
import { requireMachine, speaksForItself } from "../http/machines.ts";

/** A manifest of a terabyte, and the list of its chunks, `bytes`. */
const COMMIT_LIMIT = 256 * 1024 * 1024;

/** What agents call about workspaces; see `protocol/src/node-volumes.ts`. */
export function workspaceNodeRoutes({ ledger, cluster }: Context) {
  return async (app: App): Promise<void> => {
    app.addHook("onRequest", requireMachine(cluster, "agent"));
    app.addHook("preHandler", speaksForItself);
    app.post("/chunks/claim", { schema: { hide: true, body: ClaimChunks } }, ({ body }) => ledger.claim(body));
    app.post("/versions", { bodyLimit: COMMIT_LIMIT, schema: { hide: true, body: CommitVersion } }, ({ body }) =>
      ledger.commit(body),
    );
    app.post("/workspaces/progress", { schema: { hide: true, body: ReportWorkspaces } }, ({ body }) =>
      ledger.progress(body),
    );
  };
}
