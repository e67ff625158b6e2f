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
