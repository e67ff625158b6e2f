import type { Command } from "commander";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";

export function addMcp(program: Command): void {
  program
    .command("mcp")
    .description("serve the Model Context Protocol over standard input and output, for AI agents")
    .option("--json", "print the tools as JSON and leave")
    .addHelpText(
      "after",
      "\nExample:\n  mags mcp\n  claude mcp add mags -- mags mcp\n\nTo be started by the agent's program: with MAGS_API_URL and MAGS_API_TOKEN, or after `mags login`.",
    )
    .action(async ({ json }, command: Command) => {
      // Loaded here, because its libraries would cost every other command its start.
      if (json) {
        const { tools } = await import("../mcp/tools.ts");
        return printJson(tools.map(({ name, description, effect }) => ({ name, description, effect })));
      }
      const { serveMcp } = await import("../mcp/server.ts");
      await serveMcp(client(), command.parent?.version() ?? "");
    });
}
