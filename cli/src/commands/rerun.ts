import type { Command } from "commander";
import { client } from "../config.ts";
import { type FollowFlags, startAndFollow } from "./run.ts";

export function addRerun(program: Command): void {
  program
    .command("rerun")
    .description("run a job again on exactly what it ran on: image, version of its disk, files, variables")
    .argument("<job>", "id of a job, or name of a live one")
    .option("-w, --workspace <name>", "keep what it writes in a new workspace (default: nothing is kept)")
    .option("-d, --detach", "print the job's id and return at once")
    .option("--verbose", "show what Mags says about the job, on standard error")
    .option("--json", "print the job as JSON when it has ended; its own output goes to standard error")
    .addHelpText(
      "after",
      "\nExample:\n  mags rerun 0c1b5e0e-6f2c-4a58-9d7e-2f6f0c5b7a11 -w again\n  mags workspace diff app again\n\nExit codes: as of mags run.",
    )
    .action(async (id: string, flags: FollowFlags & { workspace?: string }) => {
      const mags = client();
      const { persistent } = await mags.status(id);
      await startAndFollow(mags, () => mags.rerun(id, { workspaceId: flags.workspace }), { ...flags, persistent });
    });
}
