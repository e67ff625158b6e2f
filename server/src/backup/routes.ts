import { ErrorBody } from "@mags/protocol";
import { z } from "zod";
import type { App, Context } from "../http/context.ts";
import { openBackup } from "./backup.ts";

/** For who runs the installation: everything of every organisation, but no key. */
export function backupRoutes({ databaseUrl, version }: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/backup",
      {
        config: { scope: "operator" },
        schema: {
          tags: ["nodes"],
          operationId: "backup",
          summary: "Download a backup of the database",
          description:
            "All rows as one moment saw them, and the keys of the objects that they need: a tar compressed with zstd, to be restored by `mags restore`. A download that fails on the way is cut off. Objects themselves, and the keys in the data directory, are not in it.",
          response: {
            200: z.any().describe("The bytes, as application/octet-stream"),
            "4xx": ErrorBody,
            "5xx": ErrorBody,
          },
        },
      },
      async (_request, reply) => {
        const archive = await openBackup(databaseUrl, version);
        const day = new Date().toISOString().slice(0, 10);
        reply.header("content-type", "application/octet-stream");
        reply.header("content-disposition", `attachment; filename="mags-${day}.tar.zst"`);
        return reply.send(archive);
      },
    );
  };
}
