import type { UsageReport } from "@mags/protocol";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { mags } from "./client.ts";

export interface UsageRange {
  /** days, YYYY-MM-DD in UTC; both count */
  from: string;
  to: string;
}

export type UsageBy = UsageReport["by"][number];

export const useUsage = (range: UsageRange, by: UsageBy) =>
  useQuery({
    queryKey: ["usage", range, by],
    queryFn: ({ signal }) => mags.usageReport({ ...range, by: [by], signal }),
    staleTime: 30_000,
    placeholderData: keepPreviousData,
  });

/** Where the browser itself fetches the rows as CSV. */
export const usageAddress = ({ from, to }: UsageRange, by: UsageBy): string =>
  `/api/v1/usage?${new URLSearchParams({ from, to, by, format: "csv" })}`;
