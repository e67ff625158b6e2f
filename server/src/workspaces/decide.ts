/** What the rules need to know of a workspace. */
export interface WorkspaceFacts {
  name: string;
  holder_job: string | null;
  node: string | null;
  dirty: boolean;
}

/** Why nobody can start on the workspace just now, as a sentence's end; undefined when nothing is in the way. */
export function waitReason({ name, holder_job, node, dirty }: WorkspaceFacts): string | undefined {
  const workspace = `workspace ${JSON.stringify(name)}`;
  if (holder_job) return `${workspace}, which ${holder_job} has`;
  if (dirty && node) return `${workspace}: node ${node} has changes that are not durable yet`;
  return undefined;
}

/** Why the latest version cannot be replaced just now: a machine writes to it, or changes lie on a node. */
export function refuseRollBack(workspace: WorkspaceFacts, up: { id: string }[]): string | undefined {
  const name = `workspace ${JSON.stringify(workspace.name)}`;
  if (workspace.holder_job || up.length > 0)
    return `${name} is in use by ${[...new Set([workspace.holder_job, ...up.map(({ id }) => id)])].filter(Boolean).join(", ")}`;
  if (workspace.dirty)
    return `${name} has changes on node ${workspace.node} that are not durable yet and would be lost`;
  return undefined;
}

export function refuseRemoval(
  version: { id: string; number: number },
  latest: string | null,
  wanted: boolean,
): string | undefined {
  if (version.id === latest)
    return `version ${version.number} is the latest: delete the workspace, or make a newer version first`;
  if (wanted) return `a job that has not started yet starts from version ${version.number}`;
  return undefined;
}

export interface Retention {
  /** newest versions of a workspace that are kept in any case */
  keepLast: number;
  /** days for which the last version of each is kept, too */
  keepDays: number;
}

/** Ids of the versions that may go: not among the last, and not the last one of its day (UTC) in the days before `now`. */
export function expired(
  versions: { id: string; number: number; created_at: Date }[],
  now: Date,
  { keepLast, keepDays }: Retention,
): string[] {
  const newestFirst = versions.toSorted((a, b) => b.number - a.number);
  const days = new Set<string>();
  return newestFirst.flatMap(({ id, created_at }, place) => {
    const day = created_at.toISOString().slice(0, 10);
    const lastOfDay = !days.has(day);
    days.add(day);
    const recent = now.getTime() - created_at.getTime() < keepDays * DAY_MS;
    return place < Math.max(1, keepLast) || (lastOfDay && recent) ? [] : [id];
  });
}

const DAY_MS = 24 * 3600 * 1000;
