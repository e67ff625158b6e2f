import { renameSync, writeFileSync } from "node:fs";

/** Writes JSON to a file that is root's alone: flushed before it gets its name, so that a crash of the machine leaves the old content or the new. */
export function writeFlushed(path: string, content: unknown): void {
  writeFileSync(`${path}.new`, JSON.stringify(content), { mode: 0o600, flush: true });
  renameSync(`${path}.new`, path);
}
