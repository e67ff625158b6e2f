/**
 * How a machine becomes one of a cluster, and by what names its certificates know each other. A machine that holds a join
 * token asks any server at its cluster address: `GET /cluster/v1/authority`, which it checks against the token, then
 * `POST /cluster/v1/join`. From then on it calls with a token of its own, over TLS with the cluster's certificates.
 */
import { z } from "zod";

/** What a machine may be; a gateway may come into every sandbox. */
export const machineRoles = ["agent", "gateway"] as const;
export type MachineRole = (typeof machineRoles)[number];

/** The name in every server's certificate. */
export const SERVER_MEMBER = "server.mags.internal";
/** The name in the certificate of a node. */
export const nodeMember = (node: string): string => `${node.toLowerCase()}.node.mags.internal`;

export const NodeName = z
  .string()
  .max(63)
  .regex(
    /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i,
    "must be of a-z 0-9 . -, at most 63 characters, with a letter or digit at both ends",
  )
  .refine((name) => !name.includes(".."), "must not have two dots in a row");

/** Labels of a node, such as zone=a. */
export const NodeLabels = z
  .record(z.string().regex(/^[\w./-]{1,63}$/, "must be of A-Z a-z 0-9 _ . / -"), z.string().max(128))
  .refine((labels) => Object.keys(labels).length <= 32, "must be at most 32");

/** `GET /cluster/v1/authority`: the certificate that signs all others; public. */
export const ClusterAuthority = z.object({ certificate: z.string() });

/** `POST /cluster/v1/join` */
export const JoinCluster = z.object({
  token: z.string(),
  node: NodeName,
  public_key: z.string().max(4096).describe("SubjectPublicKeyInfo as PEM; the key never leaves the machine"),
});
export type JoinCluster = z.infer<typeof JoinCluster>;
export const ClusterJoined = z.object({
  node: z.string(),
  roles: z.array(z.enum(machineRoles)),
  token: z.string().describe("The machine's own"),
  authority: z.string(),
  certificate: z.string(),
});
export type ClusterJoined = z.infer<typeof ClusterJoined>;

/** What `mags node join` leaves in `cluster.json` of the data directory, for root alone. */
export const Membership = ClusterJoined.extend({
  servers: z.array(z.url({ protocol: /^https$/ })).min(1),
  key: z.string(),
  address: z.string().describe("Address of this machine that the others reach"),
});
export type Membership = z.infer<typeof Membership>;

/** `POST /node/v1/leave`: the machine's token is worth nothing afterwards. */
export const LeaveCluster = z.object({ force: z.boolean().default(false) });
