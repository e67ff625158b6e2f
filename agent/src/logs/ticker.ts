const FASTEST_MS = 2;
const SLOWEST_MS = 50;

/**
 * One timer for all logs of a process. Node tells nobody that a pipe has data without reading it, and reading would
 * break the move in one system call; so the pipes are looked at, often while something comes, seldom otherwise.
 */
export class Ticker {
  readonly #tasks = new Set<() => boolean>();
  #interval = FASTEST_MS;
  #timer: NodeJS.Timeout | undefined;

  add(task: () => boolean): void {
    this.#tasks.add(task);
    this.#interval = FASTEST_MS;
    this.#schedule();
  }

  remove(task: () => boolean): void {
    this.#tasks.delete(task);
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(), this.#interval);
    this.#timer.unref();
  }

  #run(): void {
    let busy = false;
    for (const task of this.#tasks) busy = task() || busy;
    this.#interval = busy ? FASTEST_MS : Math.min(this.#interval * 2, SLOWEST_MS);
    if (this.#tasks.size > 0) this.#schedule();
  }
}
