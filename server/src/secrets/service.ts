import type { Logger } from "@mags/kit";
import { ApiError, type Assignment, type Secret, type SecretList, secretLimits } from "@mags/protocol";
import type { Audit } from "../audit/service.ts";
import { actorText, whoActs } from "../db/acting.ts";
import type { Database, Queryable } from "../db/database.ts";
import type { SecretKeys } from "./keys.ts";
import {
  countSecrets,
  deleteSecret,
  findVersions,
  insertVersion,
  type ListedSecret,
  listSecrets,
  lockOutdated,
  nextVersion,
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

  /** With all versions; a job that is to be given one later ends with an error. Throws ApiError not_found. */
  async remove(org: string, name: string): Promise<void> {
    await this.#db.transaction(async (tx) => {
      if (!(await deleteSecret(tx, org, name))) throw new ApiError("not_found", `there is no secret ${name}`);
    });
  }

  /** The versions that `references` mean now, as `name@version`. Throws ApiError invalid_request for one that is not there. */
  async pin(q: Queryable, org: string, references: Record<string, string>): Promise<Record<string, string>> {
    const wanted = Object.entries(references).map(([variable, reference]) => ({ variable, ...parse(reference) }));
    if (wanted.length === 0) return {};
    const found = await findVersions(q, org, wanted);
    return Object.fromEntries(
      wanted.map(({ variable, name, version }) => {
        const row = found.find((secret) => secret.name === name && secret.wanted === version);
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

  /** What a job's machine is given, noted in the audit log, and the variables whose secret is not there any more. */
  async give({
    id,
    org,
    spec,
  }: Pick<Assignment, "id" | "org" | "spec">): Promise<{ values: Record<string, string>; missing: string[] }> {
    // The specification of a job from before there were secrets has none.
    const wanted = Object.entries(spec.secrets ?? {}).map(([variable, reference]) => ({
      variable,
      ...parse(reference),
    }));
    const values: Record<string, string> = {};
    const missing: string[] = [];
    if (wanted.length === 0) return { values, missing };
    const found = await findVersions(this.#db, org, wanted);
    for (const { variable, name, version } of wanted) {
      const value = this.#value(found.find((secret) => secret.name === name && secret.wanted === version));
      if (value === undefined) missing.push(variable);
      else values[variable] = value;
      const target = `${name}@${version}`;
      const entry = { org, actor: { kind: "server", name: "job" }, action: "secret.read", target } as const;
      const outcome = value === undefined ? "failed" : "done";
      await this.#audit.note(this.#db, {
        ...entry,
        outcome,
        details: { job: id, variable },
        requestId: null,
        address: null,
      });
    }
    return { values, missing };
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
