/** The value below which the share `q` (0 to 1) of `values` lies: nearest rank. NaN for none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

export interface Summary {
  runs: number;
  p50: number;
  p95: number;
  p99: number;
}

/** Summary of durations, `ms`. */
export const summarise = (values: readonly number[]): Summary => ({
  runs: values.length,
  p50: quantile(values, 0.5),
  p95: quantile(values, 0.95),
  p99: quantile(values, 0.99),
});
