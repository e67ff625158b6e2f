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

/** Text of others without what would steer the terminal: sequences, control characters, and what turns the order of reading. */
export const harmless = (text: string): string =>
  stripVTControlCharacters(text).replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, "?");

/** Likewise of several lines. */
export const harmlessLines = (text: string): string => text.split("\n").map(harmless).join("\n");

/** A time of the wire to the second; "" for none. */
export const moment = (time: string | null): string => time?.replace(/\.\d+Z$/, "Z") ?? "";

/** The table of `mags list`. */
export function jobTable(jobs: readonly Row[]): string {
  const rows = jobs.map((job) => [
    job.request_id,
    job.name,
    job.status,
    String(job.exit_code ?? ""),
    moment(job.created_at),
  ]);
  const colour = (text: string, column: number) => (column === 2 ? (statusColours[text.trim()] ?? String)(text) : text);
  return table(["ID", "NAME", "STATUS", "EXIT", "CREATED"], rows, colour);
}

/** Rows below a head; columns are as wide as what they hold. Cells may hold anything: what steers terminals is taken out. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  colour: (text: string, column: number) => string = (text) => text,
): string {
  const cells = rows.map((row) => row.map(harmless));
  const widths = head.map((title, column) =>
    Math.max(...[head, ...cells].map((row) => row[column]?.length ?? title.length)),
  );
  const line = (row: readonly string[], paint: (text: string, column: number) => string) =>
    `${row.map((cell, column) => paint(column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0), column)).join("  ")}\n`;
  return line(head, (text) => out.bold(text)) + cells.map((row) => line(row, colour)).join("");
}
