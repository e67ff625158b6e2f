import { isUtf8 } from "node:buffer";

export interface Text {
  data: string;
  encoding?: "base64" | undefined;
}

/** Bytes as text where they are UTF-8, else as base64; the end of a text that was cut within a character is left out. */
export function encodeText(bytes: Buffer): Text {
  if (isUtf8(bytes)) return { data: bytes.toString() };
  return { data: bytes.toString("base64"), encoding: "base64" };
}

/** Turns chunks into pieces of text that never end within a character. */
export class TextPieces {
  #held: Buffer = Buffer.alloc(0);

  /** What can be told by now; undefined when that is nothing. */
  push(chunk: Buffer): Text | undefined {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const whole = bytes.length - unfinished(bytes);
    this.#held = bytes.subarray(whole);
    return whole === 0 ? undefined : encodeText(bytes.subarray(0, whole));
  }

  end(): Text | undefined {
    return this.#held.length === 0 ? undefined : encodeText(this.#held);
  }
}

/** How many bytes at the end begin a character of UTF-8 that is not complete. */
function unfinished(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
  }
  return 0;
}
