import { ClusterAuthority, ClusterJoined, JoinCluster } from "@mags/protocol";
import type { App, Context } from "../http/context.ts";

/** What a machine that is not a member yet may ask; see `protocol/src/cluster.ts`. */
export function clusterRoutes({ cluster, nodes }: Context) {
  return async (app: App): Promise<void> => {
    app.get("/authority", { schema: { hide: true, response: { 200: ClusterAuthority } } }, async () => ({
      certificate: cluster.authority,
    }));
    app.post("/join", { schema: { hide: true, body: JoinCluster, response: { 200: ClusterJoined } } }, ({ body }) =>
      cluster.join(body, (tx) => nodes.knows(tx, body.node)),
    );
  };
}
