import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Logger } from "@mags/kit";
import { type Assignment, DEFAULT_IMAGE, type NetworkPolicy, type VersionReason } from "@mags/protocol";
import { type Images, ImageUnavailable } from "../images/index.ts";
import type { Pool } from "../pool/pool.ts";
import type { Disk, Drivers, Sandbox } from "../sandbox/driver.ts";
import { NotWritten, type Workspace, type Workspaces } from "../workspaces/index.ts";
import { resume } from "./resume.ts";
import type { SuspendedMachines } from "./suspended.ts";
import type { TrafficReports } from "./traffic.ts";

/** How long a machine that ends may take to end what a guest has started, before all of it ends anyway, `ms`. */
const KILL_MS = 5000;

const LOST = "the machine was switched off before all was written";

/** What machines need of the node. */
export interface MachineContext {
  pool: Pool;
  drivers: Drivers;
  images: Images;
  workspaces: Workspaces;
  suspended: SuspendedMachines;
  traffic: TrafficReports;
  logger: Logger;
}

/** The job that a machine is for. */
export interface Owner {
  assignment: Assignment;
  /** a line for people */
  log(line: string): void;
  /** the workspace is no longer this node's */
  workspaceLost(reason: string): void;
  /** the machine has ended by itself */
  machineEnds(message: string): Promise<void>;
}

/** A job that runs in another's machine. */
export interface Guest {
  assignment: Assignment;
  /** Ends it, because its machine ends; resolves when its end is written down. */
  machineEnds(message: string): Promise<void>;
}

/**
 * The machine of a job: a sandbox, its disk, and the jobs of others that run in it because it has their workspace. It ends
 * in this order: guests, processes, what they wrote made durable, sandbox; each step may be the last before a kill -9.
 */
export class Machine {
  readonly sandbox: Sandbox;
  readonly workspace: Workspace | undefined;
  readonly #context: MachineContext;
  /** what went on in it before its sleep is held until `goOn` */
  readonly resumed: boolean;
  readonly #owner: Owner;
  readonly #network: NetworkPolicy;
  readonly #guests = new Set<Guest>();
  readonly #ends = Promise.withResolvers<void>();
  #ending = false;
  #suspended = false;

  private constructor(
    context: MachineContext,
    owner: Owner,
    sandbox: Sandbox,
    workspace: Workspace | undefined,
    resumed = false,
  ) {
    [this.#context, this.#owner, this.resumed] = [context, owner, resumed];
    this.#network = owner.assignment.spec.network;
    this.sandbox = sandbox;
    this.workspace = workspace;
    void sandbox.ended?.then((message) => owner.machineEnds(message));
    if (workspace) occupy(workspace, owner, sandbox);
  }

  /** Throws StoreFull when the node has no room for one, ImageUnavailable, and what attaching its disk throws. */
  static async take(context: MachineContext, owner: Owner, signal: AbortSignal): Promise<Machine> {
    const started = performance.now();
    const { org, volume, spec } = owner.assignment;
    await context.workspaces.room();
    const log = (line: string) => owner.log(line);
    // Before the workspace: building or pulling may take minutes.
    const image = await context.images.ensure(spec.rootfs_type ?? DEFAULT_IMAGE, signal, log);
    if (spec.image_digest !== undefined && spec.image_digest !== image.digest)
      throw new ImageUnavailable(`image ${image.name} is ${image.digest} on this node, not ${spec.image_digest}`);
    if (spec.base_workspace_id !== undefined && volume?.source === "latest" && !owner.assignment.wake)
      owner.log(
        `base ${spec.base_workspace_id} was not used: the workspace has a version of its own, ${volume.version?.number}`,
      );
    const attaching = volume && { org, volume, signal, log };
    const attached = attaching?.volume.workspace ? await context.workspaces.attach(attaching) : undefined;
    const workspace = attached?.workspace;
    let disk: Disk | undefined;
    if (attached) disk = { kept: attached.live, log };
    else if (attaching?.volume.version) disk = { ...context.workspaces.discarded(attaching), log };
    let sandbox: Sandbox | undefined;
    try {
      const size = { vcpus: spec.vcpus, memoryMb: spec.memory_mb, diskGb: spec.disk_gb };
      const driver = context.drivers.for(spec);
      const wanted = { driver, image, size };
      const resumed = attached && (await resume(context, owner, wanted, attached));
      sandbox = resumed ?? (await context.pool.take(wanted, disk));
      if (spec.network !== "default") await sandbox.limitNetwork(spec.network);
      owner.log(`machine ${sandbox.id} ready in ${Math.round(performance.now() - started)} ms`);
      return new Machine(context, owner, sandbox, workspace, resumed !== undefined);
    } catch (error) {
      // Whatever failed, limiting its network for one: nobody else knows of it.
      if (sandbox) {
        await destroy(context, sandbox);
        context.pool.gone();
      }
      await workspace?.detach();
      throw error;
    }
  }

  /** Takes up the machine that an earlier agent process had made for the job. */
  static adopt(context: MachineContext, owner: Owner, sandbox: Sandbox): Machine {
    const { volume } = owner.assignment;
    const workspace = volume?.workspace ? context.workspaces.find(volume.workspace.id) : undefined;
    context.pool.adopted();
    // What was saved of it before has gone on: an earlier process may have ended before it removed that.
    context.suspended.remove(owner.assignment.id);
    if (volume?.workspace && !workspace) owner.workspaceLost("this node has nothing of it any more");
    return new Machine(context, owner, sandbox, workspace);
  }

  /** Lets a job of another run in it; false when it ends. Throws Error for one that asks for another network. */
  join(guest: Guest): boolean {
    // The server refuses such a job; but the machine may have become another's since.
    const { network } = guest.assignment.spec;
    if (network !== "default" && !isDeepStrictEqual(network, this.#network))
      throw new Error("the machine that has its workspace has another network than it asks for");
    if (!this.#ending) this.#guests.add(guest);
    return !this.#ending;
  }

  leave(guest: Guest): void {
    this.#guests.delete(guest);
  }

  /** Jobs of others that run in it: it is not idle while there are some. */
  get guests(): number {
    return this.#guests.size;
  }

  /** Ends what a guest has started; one that no longer does what it is told, and ends, holds nobody up. */
  async killCommand(directory: string, mark: string): Promise<void> {
    const late = this.#ends.promise.then(() => delay(KILL_MS));
    const killed = this.sandbox.killCommand(directory, mark).catch((error) => {
      if (!this.#ending) throw error;
    });
    await Promise.race([killed, late]);
  }

  /** Lets go on what went on in it before its sleep: once, so what was saved of it goes first. */
  async goOn(): Promise<void> {
    this.#context.suspended.remove(this.#owner.assignment.id);
    await this.sandbox.letGo?.();
  }

  /** Ends every process in it. `message` tells its guests why. */
  async kill(message: string): Promise<void> {
    await this.#endGuests(message);
    await this.sandbox.kill();
  }

  /** As `kill`; what goes on in it is kept for the wake, where its job wants that and it can be done. */
  async putAway(message: string): Promise<void> {
    await this.#endGuests(message);
    const { assignment } = this.#owner;
    if (assignment.spec.sleep === "suspend" && this.workspace && this.sandbox.isRunning()) {
      try {
        await this.#context.suspended.put(assignment, this.sandbox, this.workspace.volume);
        this.#suspended = true;
      } catch (error) {
        this.#owner.log(`its processes end, because they cannot be kept: ${(error as Error).message}`);
      }
    }
    await this.sandbox.kill();
  }

  async #endGuests(message: string): Promise<void> {
    this.#ending = true;
    this.#ends.resolve();
    // Before the sandbox: a successor must not take our kill for the end of their scripts.
    await Promise.all([...this.#guests].map((guest) => guest.machineEnds(message)));
  }

  /**
   * After `kill`: makes durable what was written, for at most `ms`, and tells the server. Throws NotDurable, of
   * which more is tried later, WorkspaceLost, or NotWritten when all that has reached the disk is durable.
   */
  async settle(reason: VersionReason, ms: number): Promise<void> {
    const { workspace, sandbox } = this;
    if (!workspace) return;
    const { suspended } = this.#context;
    const { assignment } = this.#owner;
    try {
      await settle(this.#context, workspace, reason, ms);
      if (sandbox.unwritten !== undefined)
        throw new NotWritten(`${LOST} in workspace ${workspace.name}: ${sandbox.unwritten}`);
      if (this.#suspended) suspended.seal(assignment, workspace.version);
    } catch (error) {
      if (this.#suspended) {
        suspended.remove(assignment.id);
        this.#owner.log("its processes end, because its disk is not durable");
      }
      throw error;
    } finally {
      this.#suspended = false;
    }
  }

  async remove(): Promise<void> {
    this.#ending = true;
    await this.#context.traffic.last(this.#owner.assignment.id, this.sandbox);
    await destroy(this.#context, this.sandbox);
    await this.workspace?.vacate();
    this.#context.pool.gone();
  }
}

/** Gives a workspace to the job `owner`: its machine is up on it, or was gone after a restart. */
export function occupy(workspace: Workspace, owner: Owner, sandbox: Sandbox | undefined): void {
  workspace.occupy({
    job: owner.assignment.id,
    mountedAt: sandbox?.mountedAt,
    inside: sandbox,
    persistent: sandbox !== undefined && owner.assignment.spec.persistent,
    log: (line) => owner.log(line),
    lost: (reason) => owner.workspaceLost(reason),
  });
}

/**
 * Makes durable what was written in a workspace whose machine has ended, for at most `ms`, and tells the server. Throws NotDurable,
 * WorkspaceLost or NotWritten.
 */
export async function settle({ workspaces, logger }: MachineContext, of: Workspace, reason: VersionReason, ms: number) {
  try {
    await of.settle(reason, ms);
  } finally {
    await workspaces.report().catch((err) => logger.warn({ err }, "telling the server about a workspace failed"));
  }
  if (of.unwritten !== undefined) throw new NotWritten(of.unwritten);
}

/** Never throws. */
async function destroy({ logger }: MachineContext, sandbox: Sandbox): Promise<void> {
  try {
    await sandbox.destroy();
  } catch (err) {
    logger.warn({ err, sandbox: sandbox.id }, "a sandbox could not be removed whole");
  }
}
