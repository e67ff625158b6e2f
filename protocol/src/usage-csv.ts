import type { UsageReport } from "./api/usage.ts";

const FIGURES = ["jobs", "vcpu_seconds", "gb_seconds", "storage_gb_hours", "egress_bytes"] as const;

/** The rows of a report with a head, as RFC 4180 has it. */
export function usageCsv({ by, rows }: UsageReport): string {
  const names = [...by, ...FIGURES];
  const lines = rows.map((row) => names.map((name) => cell(row[name] ?? "")).join(","));
  return [names.join(","), ...lines, ""].join("\r\n");
}

/** Names are their owners': a spreadsheet must not take one for a formula. */
function cell(value: string | number): string {
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
