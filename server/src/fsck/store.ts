import { chunkKey, manifestKey } from "@mags/storage";
import type { Queryable } from "../db/queryable.ts";

/** Rows of all organisations: whoever compares the ledger with the machines runs the installation. */
export interface LedgerFacts {
  /** jobs that a node has, by the ledger */
  held: { id: string; name: string; node: string; attempt: number; overdueSeconds: number }[];
  workspaces: {
    id: string;
    org: string;
    name: string;
    node: string | null;
    fence: number;
    dirty: boolean;
    held: boolean;
  }[];
  holdersGone: { id: string; org: string; name: string; holder: string }[];
  latestMissing: { id: string; org: string; name: string; newest: string | null }[];
  abandoned: { id: string; org: string }[];
  /** host names that belong to an alias and to a job */
  twice: { org: string; name: string; job: string }[];
  overdueCrons: { id: string; org: string; name: string; seconds: number }[];
  nodes: { name: string; silentSeconds: number; jobs: number; dirty: number }[];
}

const LIVE = "status IN ('accepted', 'starting', 'running', 'sleeping')";
const ago = (column: string) => `extract(epoch FROM now() - ${column})::float8`;

export async function readLedger(q: Queryable): Promise<LedgerFacts> {
  const rows = async <T extends object>(sql: string) => (await q.query<T>(sql)).rows;
  return {
    held: await rows(
      `SELECT id, name, node, attempt, coalesce(${ago("lease_until")}, 0) AS "overdueSeconds"
       FROM jobs WHERE status IN ('starting', 'running') AND node IS NOT NULL`,
    ),
    workspaces: await rows("SELECT id, org, name, node, fence, dirty, holder_job IS NOT NULL AS held FROM workspaces"),
    holdersGone: await rows(
      `SELECT w.id, w.org, w.name, w.holder_job AS holder FROM workspaces w
       WHERE w.holder_job IS NOT NULL AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = w.holder_job AND j.${LIVE})`,
    ),
    latestMissing: await rows(
      `SELECT w.id, w.org, w.name, (SELECT v.id FROM versions v WHERE v.workspace = w.id ORDER BY number DESC LIMIT 1) AS newest
       FROM workspaces w WHERE w.latest IS NOT NULL AND NOT EXISTS (SELECT FROM versions v WHERE v.id = w.latest AND v.workspace = w.id)`,
    ),
    abandoned: await rows(
      `SELECT w.id, w.org FROM workspaces w WHERE w.anonymous AND w.created_at < now() - interval '1 day'
         AND NOT EXISTS (SELECT FROM jobs j WHERE j.workspace = w.id AND j.${LIVE})`,
    ),
    twice: await rows(
      "SELECT a.org, a.subdomain AS name, j.id AS job FROM url_aliases a JOIN jobs j ON j.subdomain = a.subdomain",
    ),
    overdueCrons: await rows(
      `SELECT id, org, name, ${ago("next_at")} AS seconds FROM crons WHERE enabled AND next_at < now() - interval '5 minutes'`,
    ),
    nodes: await rows(
      `SELECT n.name, ${ago("n.seen_at")} AS "silentSeconds",
         (SELECT count(*) FROM jobs j WHERE j.node = n.name AND j.status IN ('starting', 'running'))::int AS jobs,
         (SELECT count(*) FROM workspaces w WHERE w.node = n.name AND w.dirty)::int AS dirty
       FROM nodes n ORDER BY n.name`,
    ),
  };
}

/** Which of these jobs there are. */
export async function knownJobs(q: Queryable, ids: string[]): Promise<Set<string>> {
  const { rows } = await q.query<{ id: string }>("SELECT id FROM jobs WHERE id = ANY($1::uuid[])", [ids]);
  return new Set(rows.map(({ id }) => id));
}

/** What the ledger says of an organisation's objects. */
export interface ObjectFacts {
  /** keys that must be there, with what they are */
  stored: Map<string, { hash: string; epoch: number }>;
  /** keys that may be there */
  known: Set<string>;
}

export async function readObjects(q: Queryable, org: string): Promise<ObjectFacts> {
  const chunks = await q.query<{ hash: string; epoch: number; is_manifest: boolean | null; state: string }>(
    "SELECT hash, epoch, is_manifest, state FROM chunks WHERE org = $1",
    [org],
  );
  const gone = await q.query<{ key: string }>("SELECT key FROM condemned_objects WHERE org = $1", [org]);
  const facts: ObjectFacts = { stored: new Map(), known: new Set(gone.rows.map(({ key }) => key)) };
  for (const { hash, epoch, is_manifest, state } of chunks.rows) {
    const [chunk, manifest] = [chunkKey(org, hash, epoch), manifestKey(org, `${hash}.${epoch}`)];
    if (is_manifest !== true) facts.known.add(chunk);
    if (is_manifest !== false) facts.known.add(manifest);
    if (state === "stored" && is_manifest !== null) facts.stored.set(is_manifest ? manifest : chunk, { hash, epoch });
  }
  return facts;
}

/** Its object has to be uploaded again by whoever has it. */
export async function markLost(q: Queryable, org: string, { hash, epoch }: { hash: string; epoch: number }) {
  await q.query("UPDATE chunks SET state = 'claimed' WHERE org = $1 AND hash = $2 AND epoch = $3", [org, hash, epoch]);
}

/** Ends a lease that no live job has. */
export async function releaseHolder(q: Queryable, id: string, holder: string): Promise<void> {
  await q.query(
    `UPDATE workspaces w SET holder_job = NULL WHERE id = $1 AND holder_job = $2
       AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = w.holder_job AND j.${LIVE})`,
    [id, holder],
  );
}

export async function setLatest(q: Queryable, id: string, version: string): Promise<void> {
  await q.query(
    `UPDATE workspaces w SET latest = $2 WHERE id = $1 AND NOT EXISTS (SELECT FROM versions v WHERE v.id = w.latest AND v.workspace = w.id)`,
    [id, version],
  );
}
