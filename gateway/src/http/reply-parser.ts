/** Largest head of an answer, trailers alike, `bytes` */
const HEAD_BYTES = 128 * 1024;
/** Longest line with the size of a chunk, `bytes`: extensions may stand there */
const SIZE_LINE_BYTES = 4096;
const HEAD_END = Buffer.from("\r\n\r\n");
const PROTOCOL = Buffer.from("HTTP/1.");
const LINE_END = Buffer.from("\r\n");
const NOTHING = Buffer.alloc(0);

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const LENGTH = /^\d{1,15}$/;
const SIZE_LINE = /^([\dA-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

export interface ReplyHead {
  status: number;
  reason: string;
  /** names and values in turns, as they came */
  headers: string[];
  /** value of the Connection header */
  connection: string;
  /** after this answer the connection takes another request */
  keep: boolean;
  /** how the end of the body is told */
  framing: "none" | "length" | "chunks" | "close";
}

/** Who is told what an answer consists of. */
export interface ReplyEvents {
  /** an interim answer, such as 103 */
  interim(head: ReplyHead): void;
  head(head: ReplyHead): void;
  body(chunk: Buffer): void;
  /** trailers: names and values in turns */
  end(trailers: string[]): void;
}

/** The bytes are no answer, or one that two parsers could read in two ways. */
export class ReplyError extends Error {
  override readonly name = "ReplyError";
}

/**
 * Reads the answer to one request from the bytes of a connection, however they are cut. It is at least as strict as Node's own
 * parser, which cannot be had without its client; that one takes two thirds of the time of a proxied request.
 */
export class ReplyParser {
  readonly #events: ReplyEvents;
  readonly #headOnly: boolean;
  #state: "head" | "fixed" | "close" | "size" | "chunk" | "chunk end" | "trailers" | "done" = "head";
  /** bytes of a head or a line that is not whole yet */
  #begun: Buffer = NOTHING;
  /** of the body or the chunk, `bytes` */
  #left = 0;

  /** `headOnly`: the answer is one to HEAD, which has no body whatever its head says. */
  constructor(events: ReplyEvents, headOnly: boolean) {
    this.#events = events;
    this.#headOnly = headOnly;
  }

  /** Takes the next bytes and answers those that do not belong to this answer any more. Throws ReplyError. */
  push(bytes: Buffer): Buffer {
    let rest = this.#begun.length === 0 ? bytes : Buffer.concat([this.#begun, bytes]);
    const searched = Math.max(0, this.#begun.length - HEAD_END.length);
    this.#begun = NOTHING;
    for (let from = searched; rest.length > 0 && this.#state !== "done"; from = 0) {
      const next = this.#take(rest, from);
      if (next === undefined) {
        this.#begun = rest;
        return NOTHING;
      }
      rest = next;
    }
    return rest;
  }

  /** The connection has ended. Throws ReplyError when the answer has not. */
  close(): void {
    if (this.#state === "close") this.#end([]);
    else if (this.#state !== "done") throw new ReplyError("the connection ended before the answer did");
  }

  /** Takes one piece from the beginning; answers what is left, or undefined where the piece is not whole. */
  #take(bytes: Buffer, searched: number): Buffer | undefined {
    switch (this.#state) {
      case "head":
        // Before the head is whole: what is no HTTP may never have an end.
        if (!isHttp(bytes)) throw new ReplyError("the answer is no HTTP");
        return this.#upTo(HEAD_END, bytes, searched, HEAD_BYTES, (text) => this.#head(text));
      case "size":
        return this.#upTo(LINE_END, bytes, searched, SIZE_LINE_BYTES, (text) => this.#size(text));
      case "chunk end":
        return this.#upTo(LINE_END, bytes, 0, 0, () => {
          this.#state = "size";
        });
      case "trailers":
        return this.#trailers(bytes, searched);
      case "close":
        this.#events.body(bytes);
        return NOTHING;
      default:
        return this.#body(bytes);
    }
  }

  #body(bytes: Buffer): Buffer {
    const chunk = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= chunk.length;
    this.#events.body(chunk);
    if (this.#left > 0) return NOTHING;
    if (this.#state === "chunk") this.#state = "chunk end";
    else this.#end([]);
    return bytes.subarray(chunk.length);
  }

  #upTo(mark: Buffer, bytes: Buffer, searched: number, limit: number, use: (text: string) => void): Buffer | undefined {
    const at = bytes.indexOf(mark, searched);
    if ((at === -1 ? bytes.length - mark.length : at) > limit) throw new ReplyError("a head or line is too long");
    if (at === -1) return undefined;
    use(bytes.toString("latin1", 0, at));
    return bytes.subarray(at + mark.length);
  }

  #head(text: string): void {
    const head = parseHead(text);
    if (head.status < 200 && head.status !== 101) {
      this.#events.interim(head);
      return;
    }
    const { length } = head;
    if (this.#headOnly || head.status < 200 || head.status === 204 || head.status === 304) head.framing = "none";
    if (head.framing === "close") head.keep = false;
    this.#left = length;
    this.#state = head.framing === "chunks" ? "size" : head.framing === "length" ? "fixed" : "close";
    this.#events.head(head);
    if (head.framing === "none" || (head.framing === "length" && length === 0)) this.#end([]);
  }

  #size(line: string): void {
    const [, digits] = SIZE_LINE.exec(line) ?? [];
    if (digits === undefined) throw new ReplyError("the size of a chunk is no number");
    this.#left = Number.parseInt(digits, 16);
    this.#state = this.#left === 0 ? "trailers" : "chunk";
  }

  #trailers(bytes: Buffer, searched: number): Buffer | undefined {
    if (bytes.length < LINE_END.length) return undefined;
    if (bytes[0] === LINE_END[0] && bytes[1] === LINE_END[1]) {
      this.#end([]);
      return bytes.subarray(LINE_END.length);
    }
    return this.#upTo(HEAD_END, bytes, searched, HEAD_BYTES, (text) => this.#end(parseFields(text.split("\r\n"), 0)));
  }

  #end(trailers: string[]): void {
    this.#state = "done";
    this.#events.end(trailers);
  }
}

function isHttp(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, PROTOCOL.length);
  return bytes.compare(PROTOCOL, 0, length, 0, length) === 0;
}

function parseHead(text: string): ReplyHead & { length: number } {
  const lines = text.split("\r\n");
  const [, minor, status, reason = ""] = STATUS_LINE.exec(lines[0] as string) ?? [];
  if (status === undefined) throw new ReplyError("the answer is no HTTP");
  const headers = parseFields(lines, 1);
  let [connection, coding, length] = ["", undefined, undefined] as [string, string | undefined, string | undefined];
  for (let i = 0; i < headers.length; i += 2) {
    const name = lowerCase(headers[i] as string);
    const value = headers[i + 1] as string;
    if (name === "connection") connection = connection === "" ? value : `${connection}, ${value}`;
    else if (name === "transfer-encoding") coding = coding === undefined ? value : "several";
    else if (name === "content-length") length = length === undefined ? value : "several";
  }
  if (coding !== undefined && (coding.toLowerCase() !== "chunked" || minor === "0" || length !== undefined))
    throw new ReplyError("the length of the answer is ambiguous, or its transfer coding is not chunked");
  if (length !== undefined && !LENGTH.test(length)) throw new ReplyError("the length of the answer is no number");
  const framing = coding !== undefined ? "chunks" : length !== undefined ? "length" : "close";
  const keep = minor === "1" ? !/\bclose\b/i.test(connection) : /\bkeep-alive\b/i.test(connection);
  return { status: Number(status), reason, headers, connection, keep, framing, length: Number(length ?? 0) };
}

function parseFields(lines: string[], first: number): string[] {
  const fields: string[] = [];
  for (let i = first; i < lines.length; i++) {
    const line = lines[i] as string;
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    if (colon === -1 || !NAME.test(name) || !VALUE.test(line)) throw new ReplyError("a header is not well-formed");
    fields.push(name, trimmed(line, colon + 1));
  }
  return fields;
}

/** Without spaces and tabs around it, and those alone: other white space is part of a value. */
function trimmed(line: string, from: number): string {
  let [begin, end] = [from, line.length];
  while (begin < end && isBlank(line.charCodeAt(begin))) begin++;
  while (end > begin && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(begin, end);
}

const isBlank = (code: number) => code === 0x20 || code === 0x09;

const KNOWN_LIMIT = 2000;
const known = new Map<string, string>();

/** The name of a header in lower case. The same few come again and again. */
export function lowerCase(name: string): string {
  const lower = known.get(name);
  if (lower !== undefined) return lower;
  if (known.size >= KNOWN_LIMIT) known.clear();
  const made = name.toLowerCase();
  known.set(name, made);
  return made;
}
