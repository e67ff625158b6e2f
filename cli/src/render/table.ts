import { stripVTControlCharacters } from "node:util";
import { out } from "./colours.ts";

export interface Row {
  request_id: string;
  name: string;
  status: string;
  exit_code: number | null;
  created_at: string;
}

const statusColours: Record<string, (text: string) => string> = {
  completed: out.green,
  running: out.cyan,
  error: out.red,
  stopped: out.yellow,
};

/** Text of others without what would steer the terminal. */
export const harmless = (text: string): string => stripVTControlCharacters(text).replace(/\p{Cc}/gu, "?");

/** The table of `mags list`; columns are as wide as what they hold. */
export function jobTable(jobs: readonly Row[]): string {
  const cells = jobs.map((job) => [
    job.request_id,
    harmless(job.name),
    job.status,
    String(job.exit_code ?? ""),
    job.created_at.replace(/\.\d+Z$/, "Z"),
  ]);
  const head = ["ID", "NAME", "STATUS", "EXIT", "CREATED"];
  const widths = head.map((title, column) =>
    Math.max(...[head, ...cells].map((row) => row[column]?.length ?? title.length)),
  );
  const line = (row: string[], colour: (text: string, column: number) => string) =>
    `${row.map((cell, column) => colour(column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0), column)).join("  ")}\n`;
  const body = cells.map((row) =>
    line(row, (text, column) => (column === 2 ? (statusColours[text.trim()] ?? String)(text) : text)),
  );
  return line(head, (text) => out.bold(text)) + body.join("");
}
