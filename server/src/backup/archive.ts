/**
 * The archive of a backup: a tar of small entries, so that any tar shows what is in it, compressed with zstd. Written and read
 * as a stream, an entry at a time.
 */
import { pipeline, Readable } from "node:stream";
import { createZstdCompress, createZstdDecompress } from "node:zlib";

export interface Entry {
  name: string;
  body: Buffer;
}

/** Largest entry that is written by us, or read, `bytes`. */
const MOST_BYTES = 64 * 1024 * 1024;
const BLOCK = 512;

/** What is no whole backup, or not one of ours; the message says what is wrong. */
export class BackupError extends Error {
  override readonly name = "BackupError";
}

/** The archive's bytes; the stream fails when an entry cannot be made. */
export function writeArchive(entries: AsyncIterable<Entry>): Readable {
  const compress = createZstdCompress();
  pipeline(Readable.from(pack(entries), { objectMode: false }), compress, () => undefined);
  return compress;
}

/** Its entries. Throws BackupError for what is no archive, or ends too early. */
export async function* readArchive(bytes: Readable): AsyncGenerator<Entry> {
  const plain = createZstdDecompress();
  pipeline(bytes, plain, () => undefined);
  const reader = new Blocks(plain);
  try {
    for (;;) {
      const header = await reader.take(BLOCK);
      if (header.every((byte) => byte === 0)) return;
      const name = header.subarray(0, 100).toString().replace(/\0.*$/s, "");
      const size = Number.parseInt(header.subarray(124, 136).toString(), 8);
      if (!(size <= MOST_BYTES)) throw new BackupError(`the archive is damaged at ${JSON.stringify(name)}`);
      const body = await reader.take(size);
      await reader.take(padding(size));
      yield { name, body };
    }
  } catch (error) {
    if (error instanceof BackupError) throw error;
    throw new BackupError(`this is no whole backup: ${(error as Error).message}`, { cause: error });
  } finally {
    plain.destroy();
    bytes.destroy();
  }
}

async function* pack(entries: AsyncIterable<Entry>): AsyncGenerator<Buffer> {
  for await (const { name, body } of entries) {
    yield headerOf(name, body.length);
    yield body;
    yield Buffer.alloc(padding(body.length));
  }
  yield Buffer.alloc(2 * BLOCK);
}

const padding = (size: number): number => (BLOCK - (size % BLOCK)) % BLOCK;

/** POSIX ustar. */
function headerOf(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  header.write(name, 0, 100);
  header.write(octal(0o600, 7), 100);
  header.write(octal(0, 7) + octal(0, 7), 108);
  header.write(octal(size, 11) + octal(Math.floor(Date.now() / 1000), 11), 124);
  header.write("        0", 148);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** Takes pieces of given sizes from a stream. */
class Blocks {
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#source = stream[Symbol.asyncIterator]();
  }

  async take(size: number): Promise<Buffer> {
    const pieces = [this.#rest];
    let have = this.#rest.length;
    while (have < size) {
      const { value, done } = await this.#source.next();
      if (done) throw new BackupError("the archive ends too early");
      pieces.push(value);
      have += value.length;
    }
    const all = pieces.length === 1 ? this.#rest : Buffer.concat(pieces);
    this.#rest = all.subarray(size);
    return all.subarray(0, size);
  }
}
