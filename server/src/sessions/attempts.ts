import { createHash } from "node:crypto";
import { ApiError } from "@mags/protocol";
import type { Queryable } from "../db/database.ts";

/** Wrong guesses within the window, after which whoever guesses has to wait. */
export const attemptLimits = { windowSeconds: 900, ofAddressAtAccount: 10, ofAddress: 100, atAccount: 200 } as const;

/**
 * Counts an attempt before it is judged, so that a thousand at the same moment are not a thousand guesses, in the database, so
 * that neither another server nor a restart gives new ones. One address has few guesses at an account; an account has many from
 * all of them together, so that a stranger does not lock its owner out easily. Throws ApiError rate_limited.
 */
export async function countAttempt(q: Queryable, account: string, address: string): Promise<void> {
  const { rows } = await q.query<{ key: string; count: number; wait: number }>(
    `WITH old AS (DELETE FROM sign_in_failures WHERE until < now() AND NOT key = ANY($1))
     INSERT INTO sign_in_failures AS f (key, count, until)
     SELECT key, 1, now() + $2::int * interval '1 second' FROM unnest($1::text[]) AS given (key) ORDER BY key
     ON CONFLICT (key) DO UPDATE SET
       count = CASE WHEN f.until < now() THEN 1 ELSE f.count + 1 END,
       until = CASE WHEN f.until < now() THEN excluded.until ELSE f.until END
     RETURNING key, count, greatest(1, ceil(extract(epoch FROM until - now())))::int AS wait`,
    [Object.keys(limitsOf(account, address)), attemptLimits.windowSeconds],
  );
  const limits = limitsOf(account, address);
  const waits = rows.filter(({ key, count }) => count > (limits[key] ?? 0)).map(({ wait }) => wait);
  if (waits.length === 0) return;
  const wait = Math.max(...waits);
  throw new ApiError("rate_limited", `too many sign-ins have failed: wait ${wait} s`, undefined, { retryAfter: wait });
}

/** Takes the attempt back, because it was right. */
export async function forgiveAttempt(q: Queryable, account: string, address: string): Promise<void> {
  const keys = Object.keys(limitsOf(account, address));
  await q.query("UPDATE sign_in_failures SET count = greatest(0, count - 1) WHERE key = ANY($1)", [keys.slice(1)]);
  await q.query("DELETE FROM sign_in_failures WHERE key = $1", [keys[0]]);
}

/** How often each key may fail; the pair first. */
const limitsOf = (account: string, address: string): Record<string, number> => ({
  [hash("pair", account, address)]: attemptLimits.ofAddressAtAccount,
  [hash("address", address)]: attemptLimits.ofAddress,
  [hash("account", account)]: attemptLimits.atAccount,
});

const hash = (...parts: string[]): string => createHash("sha256").update(JSON.stringify(parts)).digest("hex");
