import { Cleanup, type Logger, type UpstreamOptions } from "@mags/kit";
import { AgentDialer } from "./dial.ts";
import { startIngress } from "./http/index.ts";
import { startSsh } from "./ssh/index.ts";
import { Wake } from "./wake.ts";

export interface EdgeOptions {
  /** the servers to ask; agents are shown the same token and credentials */
  server: UpstreamOptions;
  /** token of programs on this machine, for an agent on it */
  nodeToken: string;
  /** given to an agent in this process as well, which then hands connections over */
  processSecret?: string | undefined;
  /** where URLs of sandboxes are answered */
  appsListen: { host: string; port: number };
  /** proxies whose X-Forwarded-… headers are believed: addresses and networks */
  trustedProxies: readonly string[];
  /** where SSH is answered */
  sshListen: { host: string; port: number };
  /** private key by which clients know the gateway again */
  hostKey: string;
  logger: Logger;
}

/** Starts the edge on this thread: HTTP and SSH from outside into sandboxes. Throws Error, naming the setting, when an address is taken. */
export async function startEdge(options: EdgeOptions): Promise<{ close(): Promise<void> }> {
  const cleanup = new Cleanup();
  const wake = new Wake(options);
  const { nodeToken: token, processSecret } = options;
  const dialer = new AgentDialer({ token, credentials: options.server.secure?.credentials, processSecret });
  cleanup.add("questions to the server", () => wake.close());
  try {
    const ingress = await startIngress({ ...options, listen: options.appsListen, wake, dialer }).catch(
      taken("MAGS_APPS_LISTEN"),
    );
    cleanup.add("HTTP", () => ingress.close());
    const ssh = await startSsh({ ...options, listen: options.sshListen, wake, dialer }).catch(taken("MAGS_SSH_LISTEN"));
    cleanup.add("SSH", () => ssh.close());
    return { close: () => cleanup.run() };
  } catch (error) {
    await cleanup.run();
    throw error;
  }
}

const taken = (setting: string) => (cause: NodeJS.ErrnoException) => {
  if (cause.code !== "EADDRINUSE" && cause.code !== "EADDRNOTAVAIL" && cause.code !== "EACCES") throw cause;
  throw new Error(`${setting}: ${cause.message}`, { cause });
};
