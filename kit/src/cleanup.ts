/**
 * Undo, pushed when the thing is made: run once, last in first out; a failing step does not stop the others, and what
 * is registered after the run is undone at once.
 */
export class Cleanup {
  #steps: { name: string; undo: () => unknown }[] = [];
  #run: Promise<void> | undefined;

  add(name: string, undo: () => unknown): void {
    if (this.#run) {
      this.#run = this.#run.then(() => Promise.resolve(undo()).then(() => undefined));
      return;
    }
    this.#steps.push({ name, undo });
  }

  /** Runs every step; safe to call twice. Throws AggregateError of all failures, each named after its step. */
  run(): Promise<void> {
    this.#run ??= this.#runAll();
    return this.#run;
  }

  async #runAll(): Promise<void> {
    const failures: Error[] = [];
    for (const step of this.#steps.reverse()) {
      try {
        await step.undo();
      } catch (cause) {
        failures.push(new Error(`clean-up of ${step.name} failed`, { cause }));
      }
    }
    this.#steps = [];
    if (failures.length > 0)
      throw new AggregateError(
        failures,
        failures.map((f) => `${f.message}: ${(f.cause as Error)?.message}`).join("; "),
      );
  }
}
