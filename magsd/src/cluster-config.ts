import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Membership, NodeLabels, NodeName } from "@mags/protocol";
import { z } from "zod";
import { Listen } from "./gateway-config.ts";

const AGENT_PORT = 7074;

/** The options that make several machines one installation. */
export const clusterOptions = [
  {
    name: "serverUrl",
    env: "MAGS_SERVER_URL",
    default: "this process's own server, or those that the machine joined",
    help: "Servers that an agent or gateway without one speaks to, with commas, such as http://127.0.0.1:7070",
  },
  {
    name: "clusterListen",
    env: "MAGS_CLUSTER_LISTEN",
    default: "none: no other machine can join",
    help: "Address and port where the server answers agents and gateways of other machines, over TLS, such as 10.0.0.1:7073",
  },
  {
    name: "clusterSecret",
    env: "MAGS_CLUSTER_SECRET",
    default: "cluster.token in the data directory",
    help: "What the key of the cluster's certificates is sealed with; the same on every server",
    secret: true,
  },
  { name: "nodeName", env: "MAGS_NODE_NAME", default: "the host's name", help: "Name of this machine among the nodes" },
  {
    name: "nodeLabels",
    env: "MAGS_NODE_LABELS",
    default: "none",
    help: "Labels of this node, such as zone=a,disk=ssd; a job may ask for some",
  },
  {
    name: "agentListen",
    env: "MAGS_AGENT_LISTEN",
    default: `a port on loopback; in a cluster the machine's address there and port ${AGENT_PORT}`,
    help: "Address and port where servers and gateways reach this node's agent",
  },
] as const;

const Urls = z
  .string()
  .transform((value) => value.split(",").map((url) => url.trim()))
  .pipe(z.array(z.url({ protocol: /^https?$/, error: "must be a URL, such as http://127.0.0.1:7070" })));

const Labels = z
  .string()
  .transform((value) =>
    value
      .split(",")
      .filter(Boolean)
      .map((label) => label.split("=")),
  )
  .refine((labels) => labels.every((label) => label.length === 2), "must be name=value, several with commas")
  .transform((labels) => Object.fromEntries(labels.map(([name = "", value]) => [name.trim(), value?.trim()])))
  .pipe(NodeLabels);

/** What the variables hold by themselves. */
export const ClusterSettings = z.object({
  serverUrl: Urls.optional(),
  clusterListen: Listen.optional(),
  clusterSecret: z.string().min(24, "must be at least 24 characters").optional(),
  nodeLabels: Labels.prefault(""),
  agentListen: Listen.optional(),
});

type Given = z.infer<typeof ClusterSettings> & {
  dataDir: string;
  nodeName?: string | undefined;
  roles?: string[] | undefined;
};

const LOOPBACK = { host: "127.0.0.1", port: 0 };

/** Settles what follows from other settings and from what `mags node join` left; with what is wrong between them. */
export function settleCluster<Role extends string>(
  { dataDir, roles: wanted, clusterListen, ...given }: Given & { roles?: Role[] | undefined },
  defaults: { roles: Role[]; nodeName: string },
) {
  const member = readMembership(dataDir);
  const roles = wanted ?? (member?.roles as Role[] | undefined) ?? defaults.roles;
  const isServer = (roles as string[]).includes("server");
  const nodeName = given.nodeName ?? member?.node ?? defaults.nodeName;
  const urls = given.serverUrl ?? (isServer ? [] : (member?.servers ?? []));
  const inCluster = addressInCluster(member, clusterListen?.host);
  const agentListen = given.agentListen ?? (inCluster ? { host: inCluster, port: AGENT_PORT } : LOOPBACK);
  const problems = [
    !isServer && urls.length === 0 && "MAGS_SERVER_URL: an agent or gateway without a server in its process needs it",
    isServer && given.serverUrl && "MAGS_SERVER_URL: this process is the server itself",
    isServer &&
      member &&
      "MAGS_ROLES: this machine joined as node of a cluster; a server starts on another data directory",
    !isServer && clusterListen && "MAGS_CLUSTER_LISTEN: is for servers",
    urls.some((url) => url.startsWith("http:") && !isLoopback(new URL(url).hostname)) &&
      "MAGS_SERVER_URL: a server on another machine is reached over https, after `mags node join`",
    urls.some((url) => url.startsWith("https:")) && !member && "MAGS_SERVER_URL: needs `mags node join` first",
    (roles as string[]).includes("agent") &&
      isWildcard(agentListen.host) &&
      "MAGS_AGENT_LISTEN: must name the one address at which the others reach this machine",
    !isLoopback(agentListen.host) &&
      !member &&
      !clusterListen &&
      "MAGS_AGENT_LISTEN: another address than loopback needs `mags node join`, or MAGS_CLUSTER_LISTEN on a server",
    (member || clusterListen) &&
      !NodeName.safeParse(nodeName).success &&
      `MAGS_NODE_NAME: ${JSON.stringify(nodeName)} cannot be a name in a certificate`,
    member && nodeName !== member.node && `MAGS_NODE_NAME: this machine joined as ${member.node}`,
  ].filter((problem) => typeof problem === "string");
  return { settled: { roles, nodeName, serverUrls: urls, agentListen, clusterListen, member }, problems };
}

function addressInCluster(member: Membership | undefined, listen: string | undefined): string | undefined {
  return member ? member.address : listen;
}

/** True for an address that only this machine reaches. */
export const isLoopback = (host: string) => /^(127\.|localhost$|\[?::1\]?$)/.test(host);
const isWildcard = (host: string) => host === "0.0.0.0" || host === "::";

function readMembership(dataDir: string): Membership | undefined {
  try {
    return Membership.parse(JSON.parse(readFileSync(join(dataDir, "cluster.json"), "utf8")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Error(`cluster.json in ${dataDir} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}
