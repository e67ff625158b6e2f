import { type Mags, MagsError } from "@mags/sdk";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { tools } from "./tools.ts";

/** Speaks MCP over standard input and output until its client goes. */
export async function serveMcp(mags: Mags, version: string): Promise<void> {
  const server = new McpServer({ name: "mags", version });
  for (const { name, description, input, effect, run } of tools) {
    const annotations = { readOnlyHint: effect === "reads", destructiveHint: effect === "destroys" };
    server.registerTool(name, { description, inputSchema: input, annotations }, (args, { signal }) =>
      answer(run(mags, args as never, signal)),
    );
  }
  const transport = new StdioServerTransport();
  const gone = new Promise<void>((resolve) => process.stdin.once("end", resolve).once("close", resolve));
  await server.connect(transport);
  await gone;
  await server.close();
}

/** A failure is an answer, too: the agent reads it and may do better. */
async function answer(work: Promise<unknown>) {
  try {
    return { content: [{ type: "text" as const, text: JSON.stringify(await work, null, 1) }] };
  } catch (error) {
    const hint = error instanceof MagsError && error.hint ? `\n${error.hint}` : "";
    return { isError: true, content: [{ type: "text" as const, text: `${(error as Error).message}${hint}` }] };
  }
}
