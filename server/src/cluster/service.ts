import { createHash, generateKeyPairSync, randomBytes, timingSafeEqual } from "node:crypto";
import type { Credentials } from "@mags/kit";
import {
  ApiError,
  type ClusterJoined,
  type CreateJoinToken,
  type JoinCluster,
  type JoinTokenMade,
  type MachineRole,
  nodeMember,
  SERVER_MEMBER,
} from "@mags/protocol";
import type { Database, Queryable } from "../db/database.ts";
import type { Events } from "../db/events.ts";
import { Authority } from "./authority.ts";
import {
  findMachine,
  hasMachine,
  insertJoinToken,
  insertMachine,
  keepAuthority,
  readAuthority,
  removedMachines,
  removeMachine,
  useJoinToken,
} from "./store.ts";

const CACHE_MS = 5000;
const CACHE_LIMIT = 10_000;
const TOPIC = "machines";
/** Servers and their own agents are certified under this id: they are not removed one by one. */
const SERVER_ID = "server";

/** Who calls: a program of this machine, which may speak for every node, or a machine that joined. */
export interface Machine {
  /** the one node it may speak for */
  node: string | undefined;
  roles: readonly MachineRole[];
}

const LOCAL: Machine = { node: undefined, roles: ["agent", "gateway"] };

const hashOf = (token: string): string => createHash("sha256").update(token).digest("hex");

/** The machines that work for this installation, and by what they are known. */
export class Cluster {
  readonly #db: Database;
  readonly #events: Events;
  readonly #localHash: Buffer;
  readonly #authority: Authority | undefined;
  /** what this server shows; undefined where other machines cannot join */
  readonly credentials: Credentials | undefined;
  readonly #known = new Map<string, { machine: Machine; until: number }>();
  #removed: { ids: string[]; until: number } | undefined;

  private constructor(
    needs: { db: Database; events: Events; localToken: string },
    authority: Authority | undefined,
    credentials: Credentials | undefined,
  ) {
    this.#db = needs.db;
    this.#events = needs.events;
    this.#localHash = Buffer.from(hashOf(needs.localToken));
    this.#authority = authority;
    this.credentials = credentials;
    needs.events.on(TOPIC, () => this.#forget());
  }

  /**
   * `localToken` is for programs on this machine. With a `secret` other machines may join: the authority is made by the first
   * server that starts so. Throws Error when it was made with another secret.
   */
  static async open(needs: {
    db: Database;
    events: Events;
    localToken: string;
    secret: string | undefined;
  }): Promise<Cluster> {
    const { db, secret } = needs;
    if (secret === undefined) return new Cluster(needs, undefined, undefined);
    if (!(await readAuthority(db))) await keepAuthority(db, await Authority.make(secret));
    const stored = await readAuthority(db);
    if (!stored) throw new Error("the cluster's authority could not be kept");
    const authority = await Authority.open(stored, secret).catch((cause) => {
      throw new Error(`${cause.message}: give every server the same MAGS_CLUSTER_SECRET`, { cause });
    });
    return new Cluster(needs, authority, await certified(authority, SERVER_MEMBER, true));
  }

  /** What an agent on this server's machine shows to gateways and to other servers. */
  async credentialsOf(node: string): Promise<Credentials | undefined> {
    return this.#authority && certified(this.#authority, nodeMember(node), false);
  }

  get authority(): string {
    return this.#open().certificate;
  }

  /** Undefined for a token that nobody has. The local one is good on this machine alone, the others over TLS alone. */
  async identify(token: string, from: "this machine" | "over TLS"): Promise<Machine | undefined> {
    const hash = hashOf(token);
    if (from === "this machine") return timingSafeEqual(Buffer.from(hash), this.#localHash) ? LOCAL : undefined;
    const known = this.#known.get(hash);
    if (known && known.until > performance.now()) return known.machine;
    const row = await findMachine(this.#db, hash);
    if (!row) return undefined;
    if (this.#known.size >= CACHE_LIMIT) this.#known.clear();
    const machine = { node: row.name, roles: row.roles };
    this.#known.set(hash, { machine, until: performance.now() + CACHE_MS });
    return machine;
  }

  /** Throws ApiError conflict where other machines cannot join. */
  async createJoinToken(request: CreateJoinToken, maker: string): Promise<JoinTokenMade> {
    const authority = this.#open();
    const secret = randomBytes(24).toString("base64url");
    // Its holder knows the right server by it.
    const join_token = `mags_join_${secret}.${fingerprint(authority.certificate)}`;
    const expires = await insertJoinToken(this.#db, {
      hash: hashOf(join_token),
      node: request.node ?? null,
      roles: request.roles,
      createdBy: maker,
      minutes: request.expires_in_minutes,
    });
    return { join_token, roles: request.roles, expires_at: expires.toISOString() };
  }

  /** Throws ApiError unauthorized for a token that is not good, conflict for a name that is taken, invalid_request for a bad key. */
  async join(
    { token, node, public_key }: JoinCluster,
    taken: (tx: Queryable) => Promise<boolean>,
  ): Promise<ClusterJoined> {
    const authority = this.#open();
    return this.#db.transaction(async (tx) => {
      const granted = await useJoinToken(tx, hashOf(token), node);
      if (!granted)
        throw new ApiError("unauthorized", "the join token is unknown, used, too old or for a node of another name");
      const own = `mags_node_${randomBytes(24).toString("base64url")}`;
      const { roles } = granted;
      const machine = (await taken(tx)) ? undefined : await insertMachine(tx, { name: node, hash: hashOf(own), roles });
      if (!machine)
        throw new ApiError(
          "conflict",
          `a node ${node} is there already: remove it first, or join by another name`,
          "node",
        );
      const subject = { id: machine.id, member: nodeMember(node), calls: roles.includes("gateway") };
      const certificate = await authority.certify(subject, public_key).catch((cause: Error) => {
        throw new ApiError("invalid_request", `public_key is not a public key as PEM: ${cause.message}`, "public_key");
      });
      return { node, roles, token: own, authority: authority.certificate, certificate };
    });
  }

  /** Its token and certificate open nothing any more; false when it had not joined. */
  async remove(tx: Queryable, node: string): Promise<boolean> {
    return removeMachine(tx, this.#events.payload(TOPIC), node);
  }

  /** True for a machine that joined. */
  async has(node: string): Promise<boolean> {
    return hasMachine(this.#db, node);
  }

  /** For after the commit of a removal. */
  announce(): void {
    this.#events.emit(TOPIC);
  }

  /** Ids in the certificates of removed machines. */
  async removed(): Promise<string[]> {
    if (!this.#authority) return [];
    if (!this.#removed || this.#removed.until < performance.now()) {
      const ids = await removedMachines(this.#db);
      this.#removed = { ids, until: performance.now() + CACHE_MS };
    }
    return this.#removed.ids;
  }

  #forget(): void {
    this.#known.clear();
    this.#removed = undefined;
  }

  #open(): Authority {
    if (this.#authority) return this.#authority;
    throw new ApiError("conflict", "other machines cannot join this server: start it with MAGS_CLUSTER_LISTEN");
  }
}

/** SHA-256 of the certificate, as it is in join tokens. */
const fingerprint = (pem: string): string =>
  createHash("sha256")
    .update(Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64"))
    .digest("base64url");

async function certified(authority: Authority, member: string, calls: boolean): Promise<Credentials> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const certificate = await authority.certify({ id: SERVER_ID, member, calls }, publicKey);
  return { authority: authority.certificate, certificate, key: privateKey };
}
