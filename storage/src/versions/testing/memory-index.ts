import type { ChunkIndex } from "../upload.ts";

/** The index of one tenant's chunks as the server keeps it, in memory. */
export class MemoryIndex implements ChunkIndex {
  readonly #rows = new Map<string, { epoch: number; state: "claimed" | "stored" | "deleting" }>();
  /** how many chunks each call asked about */
  readonly calls: number[] = [];

  async claim(chunks: { hash: string; bytes: number }[]) {
    this.calls.push(chunks.length);
    return chunks.map(({ hash }) => {
      const row = this.#rows.get(hash) ?? { epoch: 0, state: "claimed" };
      if (row.state === "deleting") Object.assign(row, { epoch: row.epoch + 1, state: "claimed" });
      this.#rows.set(hash, row);
      return { hash, epoch: row.epoch, missing: row.state !== "stored" };
    });
  }

  /** A version with these chunks has been written down. */
  commit(stored: { hash: string; epoch: number }[]): void {
    for (const { hash, epoch } of stored) this.#rows.set(hash, { epoch, state: "stored" });
  }

  /** Collection has begun to delete this chunk. */
  collect(hash: string): void {
    const row = this.#rows.get(hash);
    if (row) row.state = "deleting";
  }
}
