export interface RetryRules {
  /** pause before each further try, `s`; after the last the delivery is dead */
  retrySeconds: readonly number[];
  /** a webhook that takes nothing for this long is switched off, `s` */
  disableSeconds: number;
}

export const retryRules: RetryRules = {
  retrySeconds: [5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400],
  disableSeconds: 5 * 24 * 3600,
};

/** What becomes of a delivery after its try number `attempts`; `chance` in 0..1 spreads those that failed together. */
export function decideRetry(
  attempts: number,
  sent: { statusCode: number | null; error: string | null },
  rules: RetryRules,
  chance: number,
): { state: "delivered" | "dead" } | { state: "pending"; waitSeconds: number } {
  if (sent.error === null) return { state: "delivered" };
  const pause = rules.retrySeconds[attempts - 1];
  if (pause === undefined) return { state: "dead" };
  return { state: "pending", waitSeconds: pause * (0.8 + 0.4 * chance) };
}

/** Why a webhook is switched off; undefined where it stays. */
export function decideDisable(
  sent: { statusCode: number | null; error: string | null },
  failingSince: Date | null,
  now: Date,
  rules: RetryRules,
): string | undefined {
  if (sent.statusCode === 410) return "the receiver answered 410 Gone";
  if (sent.error === null || failingSince === null) return undefined;
  const seconds = (now.getTime() - failingSince.getTime()) / 1000;
  if (seconds < rules.disableSeconds) return undefined;
  return `nothing was delivered since ${failingSince.toISOString()}; last: ${sent.error}`;
}
