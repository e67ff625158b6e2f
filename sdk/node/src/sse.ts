export interface ServerSentEvent {
  event: string;
  id: string | undefined;
  data: string;
}

/**
 * Parses a stream of server-sent events (WHATWG HTML, section 9.2), however it is cut into chunks. An event that the
 * stream ends within is dropped, as the standard has it: whoever resumes gets it whole.
 */
export async function* parseEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  let event = "";
  let id: string | undefined;
  let data: string[] = [];
  for await (const line of lines(chunks)) {
    if (line === "") {
      if (data.length > 0) yield { event: event || "message", id, data: data.join("\n") };
      event = "";
      data = [];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
  }
}

/** The lines of a UTF-8 stream; LF, CR and CRLF end one, also where a chunk ends between CR and LF. */
async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const lineEnd = /\r\n|\r|\n/g;
  // Pieces of a line that has not ended are kept apart: joining them at every chunk would cost the square of its length.
  let open: string[] = [];
  let endedByCr = false;
  for await (const chunk of chunks) {
    let text = decoder.decode(chunk, { stream: true });
    if (text === "") continue;
    if (endedByCr && text[0] === "\n") text = text.slice(1);
    endedByCr = text === "" ? false : text.endsWith("\r");
    let from = 0;
    for (const end of text.matchAll(lineEnd)) {
      open.push(text.slice(from, end.index));
      yield open.join("");
      open = [];
      from = end.index + end[0].length;
    }
    if (from < text.length) open.push(text.slice(from));
  }
}
