import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { EdgeOptions } from "./edge.ts";
import type { ThreadData, Word } from "./thread.ts";

export { ensureHostKey, type HostKey } from "./ssh/host-key.ts";

export type GatewayOptions = EdgeOptions;

/** Between two tries to start a gateway that has failed, `ms` */
const PAUSE_MS = 500;

/**
 * Starts the gateway on a thread of its own: whatever traffic visitors make, the programs beside it keep their pace, and
 * leases are renewed in time. Should something fail there that nothing has caught, its connections end and it is started
 * again; jobs and the API go on meanwhile. Throws Error, naming the setting, when an address is taken.
 */
export async function startGateway(options: GatewayOptions): Promise<{ close(): Promise<void> }> {
  const closing = new AbortController();
  let thread = await startThread(options);
  const watching = (async () => {
    for (;;) {
      const err = await thread.ended;
      if (closing.signal.aborted) return;
      options.logger.fatal({ err }, "the gateway failed; it is started again");
      thread = await startAgain(options, closing.signal);
    }
  })();
  return {
    close: async () => {
      closing.abort();
      thread.close();
      await watching;
    },
  };
}

interface Thread {
  /** Resolves when it has ended, with what it failed of. */
  ended: Promise<Error | undefined>;
  close(): void;
}

const NONE: Thread = { ended: Promise.resolve(undefined), close: () => undefined };

async function startThread(options: GatewayOptions): Promise<Thread> {
  const worker = new Worker(new URL("thread.ts", import.meta.url), { workerData: toData(options), execArgv: [] });
  // The event "error" comes before "exit"; waiting for one rejects with the other.
  const ended = once(worker, "exit").then(
    () => undefined,
    (error: Error) => error,
  );
  const said = once(worker, "message").catch(() => []);
  const [word] = (await Promise.race([said, ended.then((error) => [{ failed: error?.message }])])) as [Word?];
  if (word !== "ready") throw new Error(word?.failed ?? "the gateway ended while it started");
  return { ended, close: () => worker.postMessage("close") };
}

async function startAgain(options: GatewayOptions, signal: AbortSignal): Promise<Thread> {
  while (!signal.aborted) {
    await delay(PAUSE_MS, undefined, { signal }).catch(() => undefined);
    try {
      const thread = await startThread(options);
      if (signal.aborted) thread.close();
      return thread;
    } catch (err) {
      options.logger.error({ err }, "the gateway does not start");
    }
  }
  return NONE;
}

/** What a thread can be given: the options alone, whatever else the caller's object holds. */
const toData = (options: GatewayOptions): ThreadData => ({
  server: options.server,
  nodeToken: options.nodeToken,
  processSecret: options.processSecret,
  appsListen: options.appsListen,
  trustedProxies: options.trustedProxies,
  sshListen: options.sshListen,
  hostKey: options.hostKey,
  logLevel: options.logger.level,
});
