import { z } from "zod";
import { WorkspaceName } from "./workspace-names.ts";

/** Body of `POST /mags-jobs/:id/rerun`. */
export const RerunJob = z.strictObject({
  workspace_id: WorkspaceName.optional().describe(
    "Keeps what the new run writes, in a new workspace; without it nothing of it is kept",
  ),
});
export type RerunJob = z.infer<typeof RerunJob>;
