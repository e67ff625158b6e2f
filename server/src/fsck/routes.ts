import { ErrorBody, FsckReport } from "@mags/protocol";
import { type App, type Context, hangUp } from "../http/context.ts";

const failures = { "4xx": ErrorBody, "5xx": ErrorBody };

/** For who runs the installation: it compares all organisations and all nodes. */
export function fsckRoutes({ fsck, closing }: Context) {
  return async (app: App): Promise<void> => {
    const config = { scope: "operator" as const };
    const schema = { tags: ["nodes"], response: { 200: FsckReport, ...failures } };
    const look = {
      operationId: "fsck",
      summary: "Compare the ledger with the machines and the object store",
      description: "Changes nothing. A difference is told when two looks, some seconds apart, have both seen it.",
    };
    app.get("/mags-fsck", { config, schema: { ...schema, ...look } }, (_request, reply) =>
      fsck.run(false, hangUp(reply, closing)),
    );
    const mend = {
      operationId: "repairFsck",
      summary: "Compare, and repair what disagrees",
      description: "Takes away what belongs to nothing that lives; what cannot be repaired safely is only told.",
    };
    app.post("/mags-fsck/repair", { config, schema: { ...schema, ...mend } }, (_request, reply) =>
      fsck.run(true, hangUp(reply, closing)),
    );
  };
}
