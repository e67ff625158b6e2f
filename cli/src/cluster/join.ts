import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type ConnectionOptions, checkServerIdentity, type PeerCertificate } from "node:tls";

/** The name in every server's certificate. */
const SERVER_MEMBER = "server.mags.internal";
const DEADLINE_MS = 15_000;

/** What is kept in `cluster.json`; the daemon's own schema is `Membership` of the protocol. */
export interface Membership {
  node: string;
  roles: string[];
  servers: string[];
  address: string;
  token: string;
  authority: string;
  certificate: string;
  key: string;
}

const pathIn = (dataDir: string) => join(dataDir, "cluster.json");

/**
 * Makes this machine a node of the servers' cluster and keeps what it needs in `cluster.json` of the data directory. The
 * join token holds the fingerprint of the cluster's authority, so no other server can take its place. Throws Error.
 */
export async function joinCluster(
  servers: string[],
  joinToken: string,
  wanted: { dataDir: string; node: string; address?: string | undefined },
): Promise<Membership> {
  const { dataDir, node } = wanted;
  if (readMembership(dataDir)) throw new Error(`${pathIn(dataDir)} is there: this machine has joined already`);
  const [server = ""] = servers;
  const authority = await trusted(server, joinToken);
  const { publicKey, privateKey: key } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const body = { token: joinToken, node, public_key: publicKey };
  const { answer, localAddress } = await call(`${server}/cluster/v1/join`, "POST", body, { ca: authority });
  const { roles, token, certificate } = answer as unknown as Membership;
  const membership = {
    node,
    roles,
    servers,
    address: wanted.address ?? localAddress,
    token,
    authority,
    certificate,
    key,
  };
  keep(dataDir, membership);
  return membership;
}

/** Gives the membership back. Throws Error with what the server says, as long as jobs are on this node and it is not `force`. */
export async function leaveCluster(dataDir: string, force: boolean): Promise<string> {
  const membership = readMembership(dataDir);
  if (!membership) throw new Error(`${pathIn(dataDir)} is not there: this machine has not joined a cluster`);
  const { servers, authority, token, node } = membership;
  await call(`${servers[0]}/node/v1/leave`, "POST", { force }, { ca: authority }, token);
  rmSync(pathIn(dataDir));
  return node;
}

/** The certificate of the authority that the join token names. */
async function trusted(server: string, joinToken: string): Promise<string> {
  const fingerprint = /^mags_join_[\w-]+\.([\w-]{43})$/.exec(joinToken)?.[1];
  if (!fingerprint) throw new Error("this is not a join token: `mags node token` on a server makes one");
  // Not believed until its fingerprint is seen to be right.
  const { answer } = await call(`${server}/cluster/v1/authority`, "GET", undefined, { rejectUnauthorized: false });
  const pem = String(answer.certificate);
  const seen = createHash("sha256").update(new X509Certificate(pem).raw).digest("base64url");
  if (seen !== fingerprint) throw new Error(`${server} is not of the cluster that made the join token`);
  return pem;
}

function call(
  url: string,
  method: string,
  body: object | undefined,
  tls: ConnectionOptions,
  token?: string,
): Promise<{ answer: Record<string, unknown>; localAddress: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    answer: Record<string, unknown>;
    localAddress: string;
  }>();
  const payload = body && JSON.stringify(body);
  const sent = request(url, {
    method,
    ...tls,
    ...(tls.ca
      ? { checkServerIdentity: (_host: string, shown: PeerCertificate) => checkServerIdentity(SERVER_MEMBER, shown) }
      : {}),
    agent: false,
    signal: AbortSignal.timeout(DEADLINE_MS),
    headers: {
      ...(payload ? { "content-type": "application/json", "content-length": Buffer.byteLength(payload) } : {}),
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    },
  });
  sent.once("response", async (response) => {
    const { address } = (response.socket.address() as AddressInfo) ?? {};
    const said = await text(response).catch((error: Error) => error.message);
    const answer = parsed(said);
    if (response.statusCode === 200) resolve({ answer, localAddress: address });
    else reject(new Error(String(answer.message ?? `${url} answered ${response.statusCode}`)));
  });
  sent.once("error", (cause) =>
    reject(new Error(`${new URL(url).origin} cannot be reached: ${cause.message}`, { cause })),
  );
  sent.end(payload);
  return promise;
}

function parsed(said: string): Record<string, unknown> {
  try {
    return JSON.parse(said);
  } catch {
    return {};
  }
}

function readMembership(dataDir: string): Membership | undefined {
  try {
    return JSON.parse(readFileSync(pathIn(dataDir), "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function keep(dataDir: string, membership: Membership): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  const draft = `${pathIn(dataDir)}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(membership, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(draft, pathIn(dataDir));
}
