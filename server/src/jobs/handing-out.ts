import type { Assignment } from "@mags/protocol";
import type { Secrets } from "../secrets/service.ts";

/**
 * Puts the values of secrets into what a node is about to get. Jobs whose secrets cannot be had go to `refuse`; without it they
 * are jobs that the node has already.
 */
export async function withSecrets(
  jobs: Assignment[],
  secrets: Secrets,
  refuse?: (job: Assignment, problem: string) => Promise<void>,
): Promise<Assignment[]> {
  const ready: Assignment[] = [];
  for (const job of jobs) {
    const given = await secrets.give(job, !refuse && job.wake === null);
    const [variable] = given.missing;
    // A machine that is or was up goes on without it: what is in it is not given up for that.
    if (variable === undefined || job.wake !== null || !refuse)
      ready.push({ ...job, secrets: given.values, masked: given.masked });
    else await refuse(job, `the secret for ${variable} (${job.spec.secrets[variable]}) cannot be had: it was deleted`);
  }
  return ready;
}
