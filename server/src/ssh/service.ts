import { type AddSshKey, ApiError, can, doorLimits, SSH_PORT, type SshKey, type SshOpened } from "@mags/protocol";
import type { Database } from "../db/database.ts";
import type { Jobs } from "../jobs/service.ts";
import { generateKey, readPublicKey } from "./keys.ts";
import { deleteUserKey, findKey, listUserKeys, putJobKey, putUserKey, type SshKeyRow } from "./store.ts";

/** The user that a key which belongs to one job logs in as; any other name does as well. */
const JOB_USER = "root";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export interface SshOptions {
  /** where users find the gateway */
  host: string;
  port: number;
  /** its public key, `type base64` */
  hostKey: string;
}

/** Keys that open sandboxes over SSH. `org` is the caller's organisation. */
export class SshKeys {
  readonly #db: Database;
  readonly #jobs: Jobs;
  readonly #gateway: SshOptions;

  constructor(db: Database, jobs: Jobs, gateway: SshOptions) {
    this.#db = db;
    this.#jobs = jobs;
    this.#gateway = gateway;
  }

  /** Makes a key for a live job. Throws ApiError not_found or conflict. */
  async open(org: string, idOrName: string, seconds: number): Promise<SshOpened> {
    const { privateKey, publicKey } = generateKey("mags");
    return this.#db.transaction(async (tx) => {
      const job = await this.#jobs.lock(tx, org, idOrName);
      if (!can("access", job.status))
        throw new ApiError("conflict", `job ${job.id} has ended (${job.status}): there is nothing to reach`);
      const { line: public_key, fingerprint } = publicKey;
      const key = { org, job: job.id, name: job.name, fingerprint, public_key, seconds };
      const { expires_at } = await putJobKey(tx, key, doorLimits.sshKeysPerJob);
      return {
        success: true,
        port: SSH_PORT,
        ssh_host: this.#gateway.host,
        ssh_port: this.#gateway.port,
        ssh_user: JOB_USER,
        ssh_private_key: privateKey,
        ssh_host_key: this.#gateway.hostKey,
        expires_at: expires_at.toISOString(),
      };
    });
  }

  /** Registers a user's own key. Throws ApiError invalid_request, or conflict when it is known already. */
  async add(org: string, { public_key, name }: AddSshKey): Promise<SshKey> {
    const { line, comment, fingerprint } = readPublicKey(public_key);
    const label = name ?? (comment.slice(0, 128) || fingerprint);
    const row = await putUserKey(this.#db, { org, name: label, fingerprint, public_key: line });
    if (!row) throw new ApiError("conflict", `the key ${fingerprint} already exists here: use another`, "public_key");
    return show(row);
  }

  async list(org: string): Promise<{ keys: SshKey[]; total: number }> {
    const rows = await listUserKeys(this.#db, org);
    return { keys: rows.map(show), total: rows.length };
  }

  /** Throws ApiError not_found. */
  async delete(org: string, id: string): Promise<void> {
    if (!UUID.test(id) || !(await deleteUserKey(this.#db, org, id)))
      throw new ApiError("not_found", `there is no SSH key ${JSON.stringify(id.slice(0, 64))}`);
  }

  /** Which job a key opens, or why none. A user's own key needs the job as user name. */
  async locate(fingerprint: string, user: string): Promise<{ org: string; job: string } | { missing: string }> {
    const key = await findKey(this.#db, fingerprint);
    if (!key) return { missing: "the key is not known, or has expired" };
    if (key.job) return { org: key.org, job: key.job };
    if (user.includes("\0")) return { missing: "the user name is no text" };
    const job = await this.#jobs.find(key.org, user).catch((error) => {
      if (error instanceof ApiError && error.code === "not_found") return undefined;
      throw error;
    });
    return job ? { org: key.org, job: job.id } : { missing: "log in as the id or name of a live job" };
  }
}

const show = (row: SshKeyRow): SshKey => ({
  id: row.id,
  name: row.name,
  fingerprint: row.fingerprint,
  public_key: row.public_key,
  created_at: row.created_at.toISOString(),
});
