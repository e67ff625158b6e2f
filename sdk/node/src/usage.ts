import { type CallSettings, callJson, type HttpOptions } from "./http.ts";
import type { UsageReport } from "./wire.ts";

/** From one UTC day, `YYYY-MM-DD`, to another, by default the last 30. */
export interface UsageReportOptions extends CallSettings {
  from?: string | undefined;
  to?: string | undefined;
  /** what rows are for, days by default; by organisation it is for who runs the server */
  by?: UsageReport["by"] | undefined;
}

/** What was used. Throws MagsError. */
export function readUsage(
  http: HttpOptions,
  { from, to, by = ["day"], signal }: UsageReportOptions,
): Promise<UsageReport> {
  const query = new URLSearchParams({ by: by.join(","), format: "json", ...(from && { from }), ...(to && { to }) });
  return callJson(http, "GET", `/usage?${query}`, { signal });
}
