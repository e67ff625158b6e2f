import { constants } from "node:os";

/** After this long a second signal is taken as impatience and not as the same key press, `ms` */
const DEAF_MS = 500;

/**
 * Resolves with the first SIGINT or SIGTERM. One that comes later ends the process at once, with the exit code that
 * shells give to the signal (130, 143).
 */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let first = 0;
    const handle = (signal: NodeJS.Signals) => {
      if (first === 0) {
        first = Date.now();
        resolve(signal);
      } else if (Date.now() - first > DEAF_MS) {
        process.exit(128 + constants.signals[signal]);
      }
    };
    process.on("SIGINT", handle);
    process.on("SIGTERM", handle);
  });
}

/** What `work` resolves to; throws when it takes longer than `seconds`. */
export async function within<T>(seconds: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
