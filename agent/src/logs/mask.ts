/** What stands for a value that is not to be seen. */
const STARS = Buffer.from("***");
/** Shorter values would blot out half of a log and tell nothing. */
const SHORTEST_BYTES = 4;

/** Takes values out of a stream that comes in pieces of any size. */
export class Mask {
  readonly #values: Buffer[];

  /** White space at the ends is left out: `$(…)` strips it, too. */
  constructor(values: string[]) {
    this.#values = values.map((value) => Buffer.from(value.trim())).filter(({ length }) => length >= SHORTEST_BYTES);
  }

  get #longest(): number {
    return Math.max(...this.#values.map(({ length }) => length));
  }

  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /**
   * What may be shown of `piece`, and how many of its bytes that stands for: the end that may be the beginning of a value is
   * left for when more is there, unless `last`.
   */
  apply(piece: Buffer, last: boolean): { shown: Buffer; taken: number } {
    const all = this.#occurrences(piece);
    const taken = last ? piece.length : this.#settled(piece, all);
    const found = all.filter(({ start }) => start < taken);
    const parts: Buffer[] = [];
    let from = 0;
    for (const { start, end } of found) {
      parts.push(piece.subarray(from, start), STARS);
      from = end;
    }
    parts.push(piece.subarray(from, taken));
    return { shown: Buffer.concat(parts), taken };
  }

  /** Where values are; those that overlap are one. */
  #occurrences(piece: Buffer): { start: number; end: number }[] {
    const all: { start: number; end: number }[] = [];
    for (const value of this.#values)
      for (let at = piece.indexOf(value); at >= 0; at = piece.indexOf(value, at + 1))
        all.push({ start: at, end: at + value.length });
    all.sort((a, b) => a.start - b.start);
    const merged: { start: number; end: number }[] = [];
    for (const one of all) {
      const before = merged.at(-1);
      if (before && one.start < before.end) before.end = Math.max(before.end, one.end);
      else merged.push(one);
    }
    return merged;
  }

  /** How much of a piece will look the same whatever comes after it. */
  #settled(piece: Buffer, found: { start: number; end: number }[]): number {
    const beginning = this.#beginningAtEnd(piece);
    const around = found.find(({ start, end }) => start <= beginning && beginning < end);
    if (!around) return beginning;
    // A value that follows itself without end must not fill the pipe.
    return around.start > 0 || piece.length < this.#longest * 2 ? around.start : around.end;
  }

  /** Where the first value may begin that the piece does not hold in whole; its length where none does. */
  #beginningAtEnd(piece: Buffer): number {
    let first = piece.length;
    for (const value of this.#values) {
      const head = value[0] as number;
      for (let at = piece.indexOf(head, Math.max(0, piece.length - value.length + 1)); at >= 0 && at < first; ) {
        if (piece.subarray(at).equals(value.subarray(0, piece.length - at))) first = at;
        at = piece.indexOf(head, at + 1);
      }
    }
    return first;
  }
}
