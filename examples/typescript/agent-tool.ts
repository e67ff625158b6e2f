/**
 * A sandbox as a tool of an AI agent: defined for Anthropic's and OpenAI's APIs, one machine for each conversation. What a
 * model would answer is written here, so that the program runs by itself; the tool calls are real.
 */
import { randomBytes } from "node:crypto";
import { Mags } from "@mags/sdk";

const schema = {
  type: "object",
  properties: { command: { type: "string", description: "Run by /bin/sh in /root; files stay between calls" } },
  required: ["command"],
};
const description = "Run a shell command in the Linux machine of this conversation (Debian, root, python3, node, git).";

const anthropicTool = { name: "shell", description, input_schema: schema };
const openaiTool = { type: "function", function: { name: "shell", description, parameters: schema } };

interface ToolUse {
  id: string;
  input: { command: string };
}
interface ToolCall {
  id: string;
  function: { name: string; arguments: string };
}

/** The machine of one conversation: made with its first command, asleep when nobody uses it, gone with its end. */
class Conversation {
  readonly #mags: Mags;
  readonly #name = `chat-${randomBytes(4).toString("hex")}`;
  #up = false;

  constructor(mags: Mags) {
    this.#mags = mags;
  }

  async shell(command: string): Promise<string> {
    try {
      if (!this.#up) await this.#mags.new(this.#name);
      this.#up = true;
      const { stdout, stderr, exitCode } = await this.#mags.exec(this.#name, command, { timeout: 60 });
      return `${stdout}${stderr}[exit code ${exitCode}]`;
    } catch (error) {
      return `the sandbox failed: ${(error as Error).message}`;
    }
  }

  /** The answer to a `tool_use` block of a message. */
  async anthropic({ id, input }: ToolUse) {
    return { type: "tool_result", tool_use_id: id, content: await this.shell(input.command) };
  }

  /** The answer to one of a message's `tool_calls`. */
  async openai({ id, function: { arguments: text } }: ToolCall) {
    return { role: "tool", tool_call_id: id, content: await this.shell(JSON.parse(text).command) };
  }

  async end(): Promise<void> {
    if (!this.#up) return;
    await this.#mags.stop(this.#name);
    await this.#mags.deleteWorkspace(this.#name, { force: true });
  }
}

const conversation = new Conversation(new Mags());
try {
  // client.messages.create({ tools: [anthropicTool], … }) answers with blocks like this one.
  const block = { id: "toolu_1", input: { command: "echo 6*7 > task.txt" } };
  console.log((await conversation.anthropic(block)).content);
  // client.chat.completions.create({ tools: [openaiTool], … }) with calls like this one.
  const command = 'node -p "$(cat task.txt)"';
  const call = { id: "call_1", function: { name: "shell", arguments: JSON.stringify({ command }) } };
  console.log((await conversation.openai(call)).content);
  console.log(await conversation.shell("cat /no/such/file"));
} finally {
  await conversation.end();
}
console.log(JSON.stringify([anthropicTool.name, openaiTool.function.name]));
