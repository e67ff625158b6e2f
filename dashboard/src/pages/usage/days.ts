import type { UsageRange } from "../../api/usage.ts";

const DAY_MS = 86_400_000;
const DAYS_SHOWN = 30;

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** The last so many days, today included. */
export const lastDays = (count: number = DAYS_SHOWN, now = Date.now()): UsageRange => ({
  from: dayOf(now - (count - 1) * DAY_MS),
  to: dayOf(now),
});
