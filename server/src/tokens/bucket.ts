export interface Bucket {
  /** requests that may come now */
  left: number;
  /** when that was counted, `ms` */
  at: number;
}

/**
 * Takes one request out of a bucket that holds `perMinute` and fills evenly, so that a burst is fine and a flood is not.
 * Answers the bucket afterwards and, where it is empty, how long to wait, `seconds`.
 */
export function take(bucket: Bucket | undefined, perMinute: number, now: number): { bucket: Bucket; wait: number } {
  const rate = perMinute / 60_000;
  const left = bucket ? Math.min(perMinute, bucket.left + Math.max(0, now - bucket.at) * rate) : perMinute;
  if (left >= 1) return { bucket: { left: left - 1, at: now }, wait: 0 };
  return { bucket: { left, at: now }, wait: Math.max(1, Math.ceil((1 - left) / rate / 1000)) };
}
