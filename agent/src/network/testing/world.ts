import { join } from "node:path";
import { type Running, run, spawn } from "@mags/kit";

/** Where the tests' internet answers; all but the first are what a sandbox must not reach. */
export const PUBLIC = "203.0.113.10";
export const CLOSED = ["169.254.169.254", "10.1.2.3", "192.168.7.7", "172.16.5.5", "100.100.100.200", "168.63.129.16"];
/** the host's address on its uplink */
export const HOST = "198.51.100.1";

/**
 * A host and an internet as two network namespaces, so that a test sends nothing to a real network. The host routes
 * everything to the internet: what does not arrive there was dropped by the rules under test.
 */
export class World {
  readonly name = `magstest-${process.pid}`;
  /** the host's network */
  readonly netns = `/run/netns/${this.name}-host`;
  readonly #servers: Running[] = [];
  /** what arrived at the internet's UDP port 53 */
  readonly arrived: string[] = [];

  async open(): Promise<void> {
    const [host, net] = [`${this.name}-host`, `${this.name}-net`];
    await run("ip", ["netns", "add", host]);
    await run("ip", ["netns", "add", net]);
    await this.onHost("ip", "link", "add", "up0", "type", "veth", "peer", "name", "down0", "netns", net);
    for (const args of [`addr add ${HOST}/24 dev up0`, "link set up0 up", "link set lo up"])
      await this.onHost("ip", ...args.split(" "));
    const addresses = [PUBLIC, ...CLOSED].map((address) => `addr add ${address}/32 dev lo`);
    for (const args of ["addr add 198.51.100.2/24 dev down0", "link set down0 up", "link set lo up", ...addresses]) {
      await run("ip", ["-n", net, ...args.split(" ")]);
    }
    await this.onHost("ip", "route", "add", "default", "via", "198.51.100.2");
    await this.#serve(net, [PUBLIC, ...CLOSED], ["80"]);
    await this.#serve(host, ["127.0.0.53", HOST], ["80", "8080"]);
  }

  onHost(...command: string[]): Promise<string> {
    return this.inside(this.netns, ...command);
  }

  inside(netnsPath: string, ...command: string[]): Promise<string> {
    return run("nsenter", [`--net=${netnsPath}`, ...command]);
  }

  /** The address that the server saw, or undefined where none answered. */
  get(netnsPath: string, address: string, port = 80): Promise<string | undefined> {
    return this.inside(netnsPath, "curl", "-sf", "-m", "2", "--noproxy", "*", `http://${address}:${port}/`).catch(
      () => undefined,
    );
  }

  ask(netnsPath: string, message: string, address: string, port = 53, source?: string): Promise<string> {
    const script = join(import.meta.dirname, "ask.ts");
    return this.inside(
      netnsPath,
      process.execPath,
      script,
      message,
      address,
      String(port),
      ...(source ? [source] : []),
    );
  }

  async close(): Promise<void> {
    for (const server of this.#servers) server.kill("SIGKILL");
    await Promise.allSettled(this.#servers);
    for (const part of ["host", "net"])
      await run("ip", ["netns", "del", `${this.name}-${part}`]).catch(() => undefined);
  }

  async #serve(netns: string, dns: string[], ports: string[]): Promise<void> {
    const script = join(import.meta.dirname, "server.ts");
    const args = [`--net=/run/netns/${netns}`, process.execPath, script, ...ports];
    const server = spawn("nsenter", args, { reject: false, env: { DNS_ADDRESSES: dns.join(",") }, buffer: false });
    this.#servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.stdout?.on("data", (data) => {
        if (String(data).includes("ready")) resolve();
        else this.arrived.push(String(data).trim());
      });
      server.then(() => reject(new Error("the test's server ended")));
    });
  }
}
