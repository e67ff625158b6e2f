/** One event of a stream, as text without its closing blank line, and the fields we must know. */
export interface Block {
  text: string;
  id: string | undefined;
  event: string | undefined;
  data: boolean;
}

/** Splits a body of Server-Sent Events into whole events; a piece cut off at the end is dropped. */
export async function* sseBlocks(body: AsyncIterable<Uint8Array>): AsyncGenerator<Block> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = parts.pop() ?? "";
    for (const text of parts) yield parse(text);
  }
}

function parse(text: string): Block {
  const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, "m").exec(text)?.[1];
  return { text, id: field("id"), event: field("event"), data: /^data:/m.test(text) };
}
