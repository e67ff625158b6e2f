/** Longest piece of a body that is put together, `bytes`. */
const PIECE_BYTES = 1024 * 1024;

/** A body as the script WRITE wants it: pieces with their lengths, and the end said expressly. Throws when the body breaks. */
export async function* pieces(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = [];
  let bytes = 0;
  const piece = () => {
    const joined = Buffer.concat([Buffer.from(`${bytes}\n`), ...held]);
    held = [];
    bytes = 0;
    return joined;
  };
  for await (const chunk of body) {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes >= PIECE_BYTES) yield piece();
  }
  if (bytes > 0) yield piece();
  yield Buffer.from("0\n");
}

/** Splits the first line off; it is undefined when there is none. */
export async function chunksAfterLine(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ line: string | undefined; rest: AsyncGenerator<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  for (let end = -1; end < 0; end = head.indexOf(0x0a)) {
    const next = await iterator.next();
    if (next.done) return { line: undefined, rest: all([], iterator) };
    head = Buffer.concat([head, next.value]);
  }
  const end = head.indexOf(0x0a);
  return { line: head.toString("utf8", 0, end), rest: all([head.subarray(end + 1)], iterator) };
}

async function* all(first: Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of first) if (chunk.length > 0) yield chunk;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

/** Texts that each end with a NUL character. */
export async function* records(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let open = "";
  for await (const chunk of chunks) {
    const [first = "", ...others] = decoder.decode(chunk, { stream: true }).split("\0");
    open += first;
    for (const next of others) {
      yield open;
      open = next;
    }
  }
}
