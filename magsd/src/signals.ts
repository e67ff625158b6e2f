/** After this long a second signal is taken as impatience and not as the same key press, `ms` */
const DEAF_MS = 500;

/** Resolves with the first SIGINT or SIGTERM; one that comes later ends the process at once. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let first = 0;
    const handle = (signal: NodeJS.Signals) => {
      if (first === 0) {
        first = Date.now();
        resolve(signal);
      } else if (Date.now() - first > DEAF_MS) {
        process.exit(1);
      }
    };
    process.on("SIGINT", handle);
    process.on("SIGTERM", handle);
  });
}
