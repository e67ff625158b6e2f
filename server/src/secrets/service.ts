import type { Logger } from "@mags/kit";
import { ApiError, type Assignment, type Secret, type SecretList, secretLimits } from "@mags/protocol";
import type { Audit } from "../audit/service.ts";
import { actorText, readActor, whoActs } from "../db/acting.ts";
import type { Database, Queryable } from "../db/database.ts";
import type { SecretKeys } from "./keys.ts";
import {
  countSecrets,
  creatorOf,
  deleteSecret,
  findVersions,
  insertVersion,
  type ListedSecret,
  listSecrets,
  lockOutdated,
  nextVersion,
  removeDeleted,
  reseal,
  type SecretRow,
  trimVersions,
} from "./store.ts";

const RESEAL_BATCH = 50;

/** Values that jobs are given by name. They go in and to the machines of jobs, and nowhere else. */
export class Secrets {
  readonly #db: Database;
  readonly #keys: SecretKeys;
  readonly #audit: Audit;
  readonly #logger: Logger;

  constructor(db: Database, keys: SecretKeys, audit: Audit, logger: Logger) {
    this.#db = db;
    this.#keys = keys;
    this.#audit = audit;
    this.#logger = logger;
  }

  /** Makes a new version. Throws ApiError quota_exceeded. */
  async set(org: string, name: string, value: string): Promise<Secret> {
    return this.#db.transaction(async (tx) => {
      const version = await nextVersion(tx, org, name);
      const { keyId: key_id, bytes: sealed } = this.#keys.seal(value, boundTo(org, name, version));
      await insertVersion(tx, { org, name, version, key_id, sealed, created_by: actorText(whoActs().actor) });
      await trimVersions(tx, org, name, secretLimits.versions);
      await removeDeleted(tx, org);
      if ((await countSecrets(tx, org)) > secretLimits.perOrganisation)
        throw new ApiError(
          "quota_exceeded",
          `the organisation has ${secretLimits.perOrganisation} secrets: delete some`,
        );
      const [row] = await listSecrets(tx, org, name);
      return toSecret(row as ListedSecret);
    });
  }

  async list(org: string): Promise<SecretList> {
    const secrets = (await listSecrets(this.#db, org)).map(toSecret);
    return { secrets, total: secrets.length };
  }

  /**
   * With all versions; a job that is to be given one later ends with an error. What a live job has been given stays, sealed,
   * until that has ended, so that its log is masked to the end. Throws ApiError not_found.
   */
  async remove(org: string, name: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      if (!(await deleteSecret(tx, org, name))) throw new ApiError("not_found", `there is no secret ${name}`);
      await removeDeleted(tx, org);
    });
  }

  /** The versions that `references` mean now, as `name@version`. Throws ApiError invalid_request for one that is not there. */
  async pin(q: Queryable, org: string, references: Record<string, string>): Promise<Record<string, string>> {
    const wanted = Object.entries(references).map(([variable, reference]) => ({ variable, ...parse(reference) }));
    if (wanted.length === 0) return {};
    const found = await findVersions(q, org, wanted);
    return Object.fromEntries(
      wanted.map(({ variable, name, version }) => {
        const row = found.find((secret) => secret.name === name && secret.wanted === version && !secret.deleted_at);
        const shown = version === null ? name : `${name}@${version}`;
        if (!row)
          throw new ApiError(
            "invalid_request",
            `secrets.${variable}: there is no secret ${shown}`,
            `secrets.${variable}`,
          );
        return [variable, `${name}@${row.version}`];
      }),
    );
  }

  /**
   * What a job's machine is given, noted in the audit log, and the variables whose secret is not there any more. A machine
   * that has been given a value keeps it when the secret is deleted (`isUp`); else it is told only what to mask.
   */
  async give({ id, org, spec, request_id: requestId }: GivenJob, isUp: boolean): Promise<Given> {
    // The specification of a job from before there were secrets has none.
    const wanted = Object.entries(spec.secrets ?? {}).map(([variable, reference]) => ({
      variable,
      ...parse(reference),
    }));
    const given: Given = { values: {}, masked: [], missing: [] };
    if (wanted.length === 0) return given;
    const found = await findVersions(this.#db, org, wanted);
    const actor = readActor(await creatorOf(this.#db, org, id));
    for (const { variable, name, version } of wanted) {
      const row = found.find((secret) => secret.name === name && secret.wanted === version);
      const value = this.#value(row);
      const isGiven = value !== undefined && (isUp || !row?.deleted_at);
      if (isGiven) given.values[variable] = value;
      else given.missing.push(variable);
      if (value !== undefined && !isGiven) given.masked.push(value);
      await this.#audit.note(this.#db, {
        org,
        actor,
        action: "secret.read",
        target: `${name}@${version}`,
        outcome: isGiven ? "done" : "failed",
        details: { job: id, variable },
        requestId,
        address: whoActs().address,
      });
    }
    return given;
  }

  /** Removes what was deleted and is not needed for masking any more. */
  async tidy(): Promise<void> {
    await removeDeleted(this.#db, null);
  }

  #value(row: SecretRow | undefined): string | undefined {
    if (!row) return undefined;
    const { org, name, version, key_id: keyId, sealed: bytes } = row;
    try {
      return this.#keys.open({ keyId, bytes }, boundTo(org, name, version));
    } catch (err) {
      this.#logger.error(
        { err: (err as Error).message, secret: boundTo(org, name, version) },
        "a secret cannot be opened",
      );
      return undefined;
    }
  }

  /** Encrypts with the current key what was encrypted with another. */
  async rotate(signal: AbortSignal): Promise<void> {
    let count = 0;
    while (!signal.aborted) {
      const done = await this.#db.transaction((tx) => this.#resealSome(tx));
      count += done;
      if (done < RESEAL_BATCH) break;
    }
    if (count > 0)
      this.#logger.info({ count, key: this.#keys.currentId }, "secrets were encrypted with the current key");
  }

  async #resealSome(tx: Queryable): Promise<number> {
    const rows = await lockOutdated(tx, this.#keys.currentId, RESEAL_BATCH);
    for (const { org, name, version, key_id, sealed } of rows) {
      const bound = boundTo(org, name, version);
      const { keyId, bytes } = this.#keys.seal(this.#keys.open({ keyId: key_id, bytes: sealed }, bound), bound);
      await reseal(tx, { org, name, version, key_id: keyId, sealed: bytes });
    }
    return rows.length;
  }
}

type GivenJob = Pick<Assignment, "id" | "org" | "spec" | "request_id">;

interface Given {
  /** by variable */
  values: Record<string, string>;
  /** values that it is not given, but may have kept from before */
  masked: string[];
  missing: string[];
}

export { SecretKeys } from "./keys.ts";

const boundTo = (org: string, name: string, version: number): string => `${org}/${name}@${version}`;

function parse(reference: string): { name: string; version: number | null } {
  const [name = "", version] = reference.split("@");
  return { name, version: version === undefined ? null : Number(version) };
}

const toSecret = ({ name, versions, created_at, updated_at, updated_by }: ListedSecret): Secret => ({
  name,
  version: versions[0] ?? 0,
  versions,
  created_at: created_at.toISOString(),
  updated_at: updated_at.toISOString(),
  updated_by,
});
