import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { EdgeOptions } from "./edge.ts";
import type { ThreadData, Word } from "./thread.ts";

export { ensureHostKey, type HostKey } from "./ssh/host-key.ts";

export type GatewayOptions = EdgeOptions;

/**
 * Starts the gateway on a thread of its own: whatever traffic visitors make, the programs beside it keep their pace, and
 * leases are renewed in time. What fails there ends the process, as it would on this thread. Throws Error, naming the
 * setting, when an address is taken.
 */
export async function startGateway(options: GatewayOptions): Promise<{ close(): Promise<void> }> {
  const thread = new Worker(new URL("thread.ts", import.meta.url), { workerData: toData(options), execArgv: [] });
  const ended = once(thread, "exit");
  const [word] = (await Promise.race([once(thread, "message"), ended.then(() => [])])) as [Word?];
  if (word !== "ready") throw new Error(word?.failed ?? "the gateway ended while it started");
  return {
    close: async () => {
      thread.postMessage("close");
      await ended;
    },
  };
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
