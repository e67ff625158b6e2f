import type { Kind } from "./kinds.ts";

interface Row {
  times: number;
  violations: number;
  slowestMs: number;
}

/** The table that docs/reliability.md shows. */
export class Results {
  readonly #rows = new Map<string, Row>();

  get faults(): number {
    return [...this.#rows.values()].reduce((sum, { times }) => sum + times, 0);
  }

  /** `ms`: from the end of the fault, or of the last one of its round, until everything was as it must be. */
  add({ name }: Kind, ms: number, violations: number): void {
    const { times = 0, slowestMs = 0, violations: before = 0 } = this.#rows.get(name) ?? {};
    this.#rows.set(name, { times: times + 1, slowestMs: Math.max(slowestMs, ms), violations: before + violations });
  }

  table(last: string): string {
    const rows = [...this.#rows].map(
      ([kind, { times, violations, slowestMs }]) =>
        `| ${kind} | ${times} | ${violations} | ${(slowestMs / 1000).toFixed(1)} s |`,
    );
    const bad = [...this.#rows.values()].reduce((sum, { violations }) => sum + violations, 0);
    return [
      "",
      "| fault | times | violations | slowest until all was whole |",
      "| --- | --- | --- | --- |",
      ...rows,
      `| **all** (${last}) | ${this.faults} | ${bad} | |`,
      "",
    ].join("\n");
  }
}
