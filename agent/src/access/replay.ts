/** The last bytes of an output, by their position in the whole. */
export class Replay {
  readonly #limit: number;
  #pieces: Uint8Array[] = [];
  #start = 0;
  #end = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  push(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#end += piece.length;
    let [oldest] = this.#pieces;
    while (oldest && this.#end - this.#start - oldest.length >= this.#limit) {
      this.#start += oldest.length;
      this.#pieces.shift();
      [oldest] = this.#pieces;
    }
  }

  /** What is there from `position` on, or from where it begins when that is gone. */
  from(position: number): { position: number; pieces: Uint8Array[] } {
    const begin = Math.min(Math.max(position, this.#start), this.#end);
    let at = this.#start;
    const pieces: Uint8Array[] = [];
    for (const piece of this.#pieces) {
      if (at + piece.length > begin) pieces.push(piece.subarray(Math.max(0, begin - at)));
      at += piece.length;
    }
    return { position: begin, pieces };
  }
}
