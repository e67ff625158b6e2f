/** Who is in a sandbox: connections open now, and when the last one was. Idleness is judged by it. */
export class Activity {
  #open = 0;
  #lastUsed = Date.now();

  /** Counts a connection until the returned function is called. */
  begin(): () => void {
    this.#open++;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#open--;
      this.#lastUsed = Date.now();
    };
  }

  get open(): number {
    return this.#open;
  }

  /** ms since 1970; now, while a connection is open */
  get lastUsed(): number {
    return this.#open > 0 ? Date.now() : this.#lastUsed;
  }
}
