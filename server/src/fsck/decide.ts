import type { Difference, NodeAudit, Trace } from "@mags/protocol";
import type { LedgerFacts, ObjectFacts } from "./store.ts";

/** What a node says, or why it says nothing. */
export type NodeLook = { name: string; audit: NodeAudit } | { name: string; silent: string };

/** A difference, and what tells it from any other. */
export type Found = Omit<Difference, "repaired"> & { mend: Mend | undefined };

export type Mend =
  | { do: "remove_trace"; node: string; trace: Pick<Trace, "kind" | "name"> }
  | { do: "report_copies"; node: string }
  | { do: "release"; workspace: string; holder: string }
  | { do: "set_latest"; workspace: string; version: string }
  | { do: "sweep_abandoned"; org: string }
  | { do: "upload_again"; org: string; object: { hash: string; epoch: number } }
  | { do: "delete_object"; key: string }
  | { do: "put_manifest"; org: string; name: string }
  | { do: "condemn"; org: string; objects: { hash: string; epoch: number }[] };

/** A node that is silent for longer is told of, `s`. */
const SILENT_SECONDS = 15;
/** The sweep judges leases each half second, and waits 10 s after a start of the server, `s`. */
const OVERDUE_SECONDS = 60;

const leftovers: Record<Exclude<Trace["kind"], "job_directory">, string> = {
  directory: "the directory of a sandbox",
  cgroup: "a control group, with whatever runs in it,",
  disk: "the disk of a sandbox",
  mounts: "mounts of a sandbox",
  loop: "a loop device over the disk of a sandbox",
  network: "a network of a sandbox (interface, namespace or rules)",
  scratch: "half an export, import or drill",
};

/** What the ledger contradicts within itself. */
export function inLedger(ledger: LedgerFacts): Found[] {
  const seconds = (value: number) => `${Math.round(value)} s`;
  return [
    ...ledger.held
      .filter(({ overdueSeconds }) => overdueSeconds > OVERDUE_SECONDS)
      .map(({ id, node, overdueSeconds }) =>
        ledgerFound(
          "lease_overdue",
          `job ${id}`,
          `its lease ended ${seconds(overdueSeconds)} ago, and node ${node} still counts as running it: leases are not swept`,
        ),
      ),
    ...ledger.holdersGone.map(({ id, org, name, holder }) => ({
      ...ledgerFound(
        "holder_gone",
        `workspace ${name} of ${org}`,
        `job ${holder} has it, and no such job is live: nobody else can write to it`,
      ),
      repair: "the workspace is let go",
      mend: { do: "release", workspace: id, holder } as const,
    })),
    ...ledger.latestMissing.map(({ id, org, name, newest }) => ({
      ...ledgerFound("latest_missing", `workspace ${name} of ${org}`, "its latest version is not among its versions"),
      repair: newest ? "its newest version becomes the latest" : null,
      mend: newest ? ({ do: "set_latest", workspace: id, version: newest } as const) : undefined,
    })),
    ...ledger.abandoned.map(({ id, org }) => ({
      ...ledgerFound(
        "workspace_abandoned",
        `workspace ${id} of ${org}`,
        "it has no name and belongs to no live job: an import that was killed, or a job that ended badly",
      ),
      repair: "it is deleted",
      mend: { do: "sweep_abandoned", org } as const,
    })),
    ...ledger.twice.map(({ org, name, job }) =>
      ledgerFound(
        "host_name_twice",
        `URL alias ${name} of ${org}`,
        `job ${job} has the same host name: visitors reach the job, and never what the alias follows`,
      ),
    ),
    ...ledger.overdueCrons.map(({ name, org, seconds: late }) =>
      ledgerFound(
        "schedule_overdue",
        `schedule ${name} of ${org}`,
        `it was due ${seconds(late)} ago and has not fired: no server fires schedules`,
      ),
    ),
  ];
}

const ledgerFound = (kind: Found["kind"], what: string, said: string): Found => ({
  kind,
  where: "ledger",
  what,
  said,
  repair: null,
  mend: undefined,
});

/** Where the ledger and the machines disagree. `knownJobs` are those among the job directories that the ledger has. */
export function onNodes(ledger: LedgerFacts, looks: NodeLook[], knownJobs: ReadonlySet<string>): Found[] {
  return looks.flatMap((look) => {
    if ("silent" in look) return silent(ledger, look);
    return [
      ...jobsOn(ledger, look),
      ...leftOn(look, knownJobs),
      ...copiesOn(ledger, look),
      ...look.audit.missing_rules.map(
        (rule): Found => ({
          ...nodeFound(look.name, "rules_missing", rule, "the firewall of sandboxes lacks it: they may reach too much"),
        }),
      ),
    ];
  });
}

const nodeFound = (node: string, kind: Found["kind"], what: string, said: string): Found => ({
  kind,
  where: node,
  what,
  said,
  repair: null,
  mend: undefined,
});

/** One that has nothing is no difference: it may have been taken away. */
function silent(ledger: LedgerFacts, { name, silent: why }: { name: string; silent: string }): Found[] {
  const row = ledger.nodes.find((node) => node.name === name);
  const { jobs = 0, dirty = 0, silentSeconds = 0 } = row ?? {};
  if (silentSeconds > SILENT_SECONDS && jobs + dirty === 0) return [];
  const has = `by the ledger it has ${jobs} job(s) and changes of ${dirty} workspace(s) that are nowhere else`;
  return [nodeFound(name, "node_silent", `node ${name}`, `it cannot be looked at (${why}); ${has}`)];
}

function jobsOn(ledger: LedgerFacts, { name, audit }: { name: string; audit: NodeAudit }): Found[] {
  const byLedger = ledger.held.filter(({ node }) => node === name);
  const missing = byLedger.filter(
    ({ id, attempt }) => !audit.jobs.some((job) => job.id === id && job.attempt === attempt),
  );
  const unknown = audit.jobs.filter(
    (job) => !job.ended && !byLedger.some(({ id, attempt }) => job.id === id && job.attempt === attempt),
  );
  return [
    ...missing.map(({ id, attempt }) =>
      nodeFound(
        name,
        "job_missing",
        `job ${id}`,
        `by the ledger attempt ${attempt} runs here, and the node knows nothing of it: its lease will run out`,
      ),
    ),
    ...unknown.map(({ id, attempt }) =>
      nodeFound(
        name,
        "job_unknown",
        `job ${id}`,
        `the node runs attempt ${attempt}, which the ledger does not give to it: it is fenced off, and ends with the next renewal of leases`,
      ),
    ),
  ];
}

function leftOn({ name: node, audit }: { name: string; audit: NodeAudit }, knownJobs: ReadonlySet<string>): Found[] {
  return audit.traces.flatMap(({ kind, name, held }): Found[] => {
    const mend = { do: "remove_trace", node, trace: { kind, name } } as const;
    if (kind === "job_directory") {
      if (knownJobs.has(name)) return [];
      const said = "logs and marks of a job that the ledger does not know";
      const found = nodeFound(node, "job_directory_unknown", `${kind} ${name}`, said);
      return [{ ...found, repair: "the directory is removed", mend }];
    }
    if (held !== false) return [];
    const said = `the node has ${leftovers[kind]} that belongs to nothing that lives`;
    return [{ ...nodeFound(node, "leftover", `${kind} ${name}`, said), repair: "it is removed", mend }];
  });
}

function copiesOn(ledger: LedgerFacts, { name: node, audit }: { name: string; audit: NodeAudit }): Found[] {
  const report = { do: "report_copies", node } as const;
  const gone = ledger.workspaces.filter(
    (row) => row.node === node && row.dirty && !row.held && !audit.copies.some(({ id }) => id === row.id),
  );
  const unknown = audit.copies.flatMap(({ id, name, fence }): Found[] => {
    const row = ledger.workspaces.find((workspace) => workspace.id === id);
    if (row?.node === node && row.fence === fence) return [];
    const said = row
      ? `the node has a copy under fence ${fence}; by the ledger it is under ${row.fence} on ${row.node ?? "no node"}`
      : "the node has a copy of a workspace that was deleted";
    const found = nodeFound(node, "copy_unknown", `workspace ${name}`, said);
    return [{ ...found, repair: "the node asks whose it is, and drops it", mend: report }];
  });
  const said =
    "by the ledger the node has changes of it that are nowhere else, and the node has none: it waits for nothing";
  return [
    ...unknown,
    ...gone.map(({ name }): Found => {
      const found = nodeFound(node, "changes_gone", `workspace ${name}`, said);
      return { ...found, repair: "the node says what it has, and the workspace is free", mend: report };
    }),
  ];
}

/** Where the ledger and the object store disagree. `listed`: key to the time of its object; only old ones can be strays. */
export function inStore(org: string, facts: ObjectFacts, listed: ReadonlyMap<string, Date>, cutoff: Date): Found[] {
  const found: Found[] = [];
  const common = { where: "store", mend: undefined };
  for (const [key, object] of facts.stored)
    if (!listed.has(key))
      found.push({
        ...common,
        kind: "object_missing",
        what: key,
        said: "by the ledger it is stored, and there is no such object: versions that need it cannot be restored",
        ...again(org, key, object),
      });
  for (const [key, modified] of listed) {
    if (facts.known.has(key) || modified > cutoff) continue;
    const object = objectOf(key);
    found.push({
      ...common,
      kind: "object_unreferenced",
      what: key,
      said: "it belongs to nothing that the ledger knows and was stored longer than the grace period ago",
      repair: object ? "it is deleted" : null,
      mend: object && { do: "condemn", org, objects: [object] },
    });
  }
  return found;
}

/** The database has a copy of every manifest; of a chunk only those who have the content have one. */
function again(org: string, key: string, object: { hash: string; epoch: number }): Pick<Found, "repair" | "mend"> {
  const [, name] = /\/manifests\/(.+)$/.exec(key) ?? [];
  if (name) return { repair: "it is written again from the database", mend: { do: "put_manifest", org, name } };
  const repair = "the next sync that has its content uploads it again";
  return { repair, mend: { do: "upload_again", org, object } };
}

/** Each repair once; strays of an organisation in one go, because each costs two collections. */
export function mends(found: Found[]): Mend[] {
  const all = new Map<string, Mend>();
  for (const { mend } of found) {
    if (!mend) continue;
    const key = mend.do === "condemn" ? `condemn ${mend.org}` : JSON.stringify(mend);
    const before = all.get(key);
    if (mend.do === "condemn" && before?.do === "condemn") before.objects.push(...mend.objects);
    else all.set(key, mend.do === "condemn" ? { ...mend, objects: [...mend.objects] } : mend);
  }
  return [...all.values()];
}

function objectOf(key: string): { hash: string; epoch: number } | undefined {
  const [, hash, epoch] = /\/([0-9a-f]{64})\.(\d{1,9})$/.exec(key) ?? [];
  return hash === undefined ? undefined : { hash, epoch: Number(epoch) };
}

/** What two looks have both seen, and every node that one of them could not look at: of what is there that look says nothing. */
export function inBoth(first: Found[], second: Found[]): Found[] {
  const [before, after] = [identities(first), identities(second)];
  const silentBefore = first.filter((each) => isSilence(each) && !after.has(identity(each)));
  return [...second.filter((each) => isSilence(each) || before.has(identity(each))), ...silentBefore];
}

/** Whether a look that came later shows that a difference is no more. */
export function isGone(difference: Found, later: Found[]): boolean {
  const unseen = later.some((each) => isSilence(each) && each.where === difference.where);
  return !unseen && !identities(later).has(identity(difference));
}

const isSilence = ({ kind }: Found) => kind === "node_silent";
const identities = (found: Found[]) => new Set(found.map(identity));

/** What it says of how late something is, or why a node is silent, differs from look to look. */
const identity = ({ kind, where, what, said }: Found): string =>
  kind.endsWith("_overdue") || kind === "node_silent" ? `${kind} ${where} ${what}` : `${kind} ${where} ${what} ${said}`;
