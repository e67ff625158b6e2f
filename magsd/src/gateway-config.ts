import { isIP } from "node:net";
import { z } from "zod";

/** The options that say how sandboxes are reached from outside. */
export const gatewayOptions = [
  {
    name: "appsListen",
    env: "MAGS_APPS_LISTEN",
    default: "127.0.0.1:7071",
    help: "Address and port where URLs of sandboxes are answered",
  },
  {
    name: "appsUrl",
    env: "MAGS_APPS_URL",
    default: "http://apps.localhost and the port of MAGS_APPS_LISTEN",
    help: "What users see of it: scheme, domain and port that all subdomains are below, such as https://apps.example.com",
  },
  {
    name: "appsPrivate",
    env: "MAGS_APPS_PRIVATE",
    default: "false",
    help: "true: a URL asks for a token unless its owner makes it public",
  },
  {
    name: "trustedProxies",
    env: "MAGS_TRUSTED_PROXIES",
    default: "none",
    help: "Proxies in front of it whose X-Forwarded-… headers are believed, such as 127.0.0.1,10.0.0.0/8",
  },
  {
    name: "sshListen",
    env: "MAGS_SSH_LISTEN",
    default: "127.0.0.1:7072",
    help: "Address and port where SSH is answered",
  },
  {
    name: "sshAddress",
    env: "MAGS_SSH_ADDRESS",
    default: "the same as MAGS_SSH_LISTEN",
    help: "What users see of it, such as ssh.example.com:22",
  },
] as const;

/** A `host:port` setting. */
export const Listen = z
  .string()
  .regex(/^.+:\d{1,5}$/, "must be host:port, such as 127.0.0.1:7070")
  .transform((value) => {
    const colon = value.lastIndexOf(":");
    return { host: value.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(value.slice(colon + 1)) };
  })
  .refine(({ port }) => port <= 65535, "the port must be at most 65535");

const AppsUrl = z
  .url({ protocol: /^https?$/, error: "must be a URL without a path, such as https://apps.example.com" })
  .refine((value) => {
    if (!URL.canParse(value)) return true; // said already
    const { pathname, search, hash, username, hostname } = new URL(value);
    return pathname === "/" && !search && !hash && !username && isIP(hostname.replace(/[[\]]/g, "")) === 0;
  }, "must be a URL with a host name and without a path, such as https://apps.example.com");

/** Addresses and networks. */
export const Networks = z
  .string()
  .transform((value) => value.split(",").map((entry) => entry.trim()))
  .refine((entries) => entries.every(isNetwork), "must be addresses or networks, such as 127.0.0.1,10.0.0.0/8");

/** What the variables hold by themselves. */
export const GatewaySettings = z.object({
  appsListen: Listen.prefault("127.0.0.1:7071"),
  appsUrl: AppsUrl.optional(),
  appsPrivate: z
    .enum(["true", "false"], "must be true or false")
    .transform((value) => value === "true")
    .default(false),
  trustedProxies: Networks.default([]),
  sshListen: Listen.prefault("127.0.0.1:7072"),
  sshAddress: Listen.optional(),
});

/** Settles what follows from other settings. */
export const settleGateway = ({ appsUrl, appsListen, sshAddress, sshListen }: z.infer<typeof GatewaySettings>) => ({
  appsUrl: appsUrl ?? `http://apps.localhost:${appsListen.port}`,
  sshAddress: sshAddress ?? sshListen,
});

function isNetwork(entry: string): boolean {
  const [address = "", bits, ...more] = entry.split("/");
  const family = isIP(address);
  if (family === 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32));
}
