import type { QuotaLimits } from "@mags/protocol";

type Sum = "sandboxes" | "vcpus" | "memory_mb";
const FIELDS = ["sandboxes", "vcpus", "memory_mb"] as const;
const UNITS: Record<Sum, string> = { sandboxes: "machines", vcpus: "vcpus", memory_mb: "MiB of memory" };

/** Why one more machine would be too much; undefined where it is not. */
export function refuseMachine(
  limits: Pick<QuotaLimits, Sum>,
  there: Record<Sum, number>,
  more: { vcpus: number; memory_mb: number },
): { field: Sum; message: string } | undefined {
  const asked = { sandboxes: 1, ...more };
  for (const field of FIELDS) {
    const most = limits[field];
    // The tiny allowance is for sums of fractions such as 0.1.
    if (most === null || there[field] + asked[field] <= most + 1e-9) continue;
    const message = `the organisation has ${round(there[field])} ${UNITS[field]} up or waiting and may have ${round(most)}; this needs ${round(asked[field])} more: stop or put to sleep what is not needed, or ask whoever runs this server for more`;
    return { field, message };
  }
  return undefined;
}

const round = (value: number): number => Math.round(value * 1000) / 1000;
