import type { Assignment } from "@mags/protocol";
import type { Pool } from "../pool/pool.ts";
import type { Wanted } from "../pool/shelf.ts";
import type { Sandbox } from "../sandbox/driver.ts";
import type { Workspace } from "../workspaces/index.ts";
import type { SuspendedMachines } from "./suspended.ts";

/**
 * Takes up the machine that a job fell asleep with, on the disk of that moment in the place of `live`. Undefined where there is none,
 * or where that cannot be done, which is said: then a new one starts on `live`, which is the workspace's last version.
 */
export async function resume(
  { suspended, pool }: { suspended: SuspendedMachines; pool: Pool },
  owner: { assignment: Assignment; log(line: string): void },
  { driver, image, size }: Wanted,
  { live, workspace }: { live: string; workspace: Pick<Workspace, "untouched"> },
): Promise<Sandbox | undefined> {
  const { id, wake, spec } = owner.assignment;
  if (!wake || spec.sleep !== "suspend") return undefined;
  let replaced = false;
  try {
    if (!driver.resume) throw new Error("the machine is of another runtime");
    const from = await suspended.take(owner.assignment, live, workspace.untouched);
    replaced = true;
    const sandbox = await driver.resume({ from, image, size, kept: live });
    pool.adopted();
    owner.log("its processes go on where they were");
    return sandbox;
  } catch (error) {
    owner.log(`its processes cannot go on, the machine starts anew: ${(error as Error).message}`);
    if (replaced) await suspended.restoreDisk(id, live);
    suspended.remove(id);
    return undefined;
  }
}
