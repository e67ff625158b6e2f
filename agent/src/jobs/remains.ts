import type { VersionReason } from "@mags/protocol";
import type { Workspace } from "../workspaces/index.ts";
import { type MachineContext, type Owner, occupy, settle } from "./machine.ts";

/**
 * What is left of a job's machine that was gone after a restart: what it wrote in the workspace. It is the job's still, which is not
 * over before that is durable.
 */
export class Remains {
  readonly #context: MachineContext;
  readonly #workspace: Workspace;

  private constructor(context: MachineContext, workspace: Workspace) {
    [this.#context, this.#workspace] = [context, workspace];
  }

  /** Undefined where it has left nothing, or another machine is up on it. */
  static find(context: MachineContext, owner: Owner): Remains | undefined {
    const { host_job, volume } = owner.assignment;
    const workspace = volume?.workspace && host_job === null ? context.workspaces.find(volume.workspace.id) : undefined;
    if (!workspace?.live || workspace.occupied) return undefined;
    occupy(workspace, owner, undefined);
    return new Remains(context, workspace);
  }

  /** See `Machine.settle`. */
  settle(reason: VersionReason, ms: number): Promise<void> {
    return settle(this.#context, this.#workspace, reason, ms);
  }

  remove(): Promise<void> {
    return this.#workspace.vacate();
  }
}
