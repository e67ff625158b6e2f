/** How a session ended. `error`: it could not be started, and why. */
export interface SessionExit {
  exit_code: number | null;
  signal: string | null;
  error: string | null;
  timed_out: boolean;
}

/** What goes over a session's connection. */
export type Frame =
  | { type: "stdin" | "stdout" | "stderr"; data: Uint8Array }
  | { type: "exit"; value: SessionExit }
  | { type: "credit"; value: { bytes: number } }
  | { type: "session"; value: { session: string; position: number } }
  | { type: "open" | "attach" | "stdin_end" | "resize" | "signal"; value: object };

/** Types of frames, by their number on the wire; see the session protocol of the server. */
const types = "open stdin stdin_end resize signal stdout stderr credit exit attach session".split(" ");
const HEADER_BYTES = 5;

/** A frame as bytes. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const body = "data" in frame ? frame.data : new TextEncoder().encode(JSON.stringify(frame.value));
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  bytes[0] = types.indexOf(frame.type);
  new DataView(bytes.buffer).setUint32(1, body.length);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** Reads frames from bytes as they come. Output is passed on in the pieces in which it came. */
export class FrameReader {
  #header: number[] = [];
  #left = 0;
  #body: Uint8Array[] = [];

  *read(bytes: Uint8Array): Generator<Frame> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#header.length < HEADER_BYTES) {
        this.#header.push(bytes[at++] as number);
        if (this.#header.length < HEADER_BYTES) continue;
        this.#left = new DataView(Uint8Array.from(this.#header).buffer).getUint32(1);
      }
      const piece = bytes.subarray(at, at + this.#left);
      at += piece.length;
      this.#left -= piece.length;
      const type = types[this.#header[0] as number];
      if (type === "stdout" || type === "stderr") {
        if (piece.length > 0) yield { type, data: piece };
      } else {
        this.#body.push(piece);
        if (this.#left === 0) yield { type, value: this.#json() } as Frame;
      }
      if (this.#left === 0) this.#header = [];
    }
  }

  #json(): unknown {
    const decoder = new TextDecoder();
    const text = this.#body.map((piece) => decoder.decode(piece, { stream: true })).join("");
    this.#body = [];
    return JSON.parse(text);
  }
}
