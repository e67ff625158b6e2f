export interface ServerSentEvent {
  event: string;
  id: string | undefined;
  data: string;
}

/** Parses a stream of server-sent events (WHATWG HTML, section 9.2), however it is cut into chunks. */
export async function* parseEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let event = "message";
  let id: string | undefined;
  let data: string[] = [];
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let end: number;
    while ((end = rest.indexOf("\n")) !== -1) {
      const line = rest.slice(0, end).replace(/\r$/, "");
      rest = rest.slice(end + 1);
      if (line === "") {
        if (data.length > 0) yield { event, id, data: data.join("\n") };
        event = "message";
        data = [];
      } else {
        const [, field, value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        if (field === "event") event = value;
        else if (field === "id") id = value;
        else if (field === "data") data.push(value);
      }
    }
  }
}
