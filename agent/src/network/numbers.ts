/** Which slot numbers are free. Picks and marks in one step, so that no two calls get the same. */
export class Numbers {
  readonly #count: number;
  /** of living slots of this process */
  readonly #own = new Set<number>();
  /** held by earlier processes of this agent, or by other agents */
  #others: ReadonlySet<number> = new Set();
  #next = 0;

  constructor(count: number) {
    this.#count = count;
  }

  /** Goes round, so that late packets for a sandbox that has gone do not find its address with another. */
  take(): number {
    for (let step = 0; step < this.#count; step++) {
      const number = (this.#next + step) % this.#count;
      if (this.#own.has(number) || this.#others.has(number)) continue;
      this.#own.add(number);
      this.#next = number + 1;
      return number;
    }
    throw new Error(`all ${this.#count} sandbox networks are in use`);
  }

  adopt(number: number): void {
    this.#own.add(number);
  }

  give(number: number): void {
    this.#own.delete(number);
  }

  owns(number: number): boolean {
    return this.#own.has(number);
  }

  /** What the system shows as taken now; replaces what it showed before. */
  seen(numbers: Iterable<number>): void {
    this.#others = new Set([...numbers].filter((number) => !this.#own.has(number)));
  }
}
