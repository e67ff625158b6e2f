import type { Logger } from "@mags/kit";
import type { ObjectStore, ReflinkStore, Templates } from "@mags/storage";
import type { ControlPlane } from "../control-plane.ts";
import type { Sandbox } from "../sandbox/driver.ts";
import type { VersionCache } from "./cache.ts";

/** What all workspaces of a node share. */
export interface Shared {
  store: ReflinkStore;
  templates: Templates;
  cache: VersionCache;
  objects: ObjectStore;
  controlPlane: ControlPlane;
  logger: Logger;
  /** the agent closes */
  closing: AbortSignal;
  /** nothing of the workspace is here any more */
  forgotten(id: string): void;
}

/** A machine that is up on a workspace, or was until the agent was restarted. */
export interface Occupant {
  job: string;
  /** where the volume is mounted in this process's mount namespace */
  mountedAt: string | undefined;
  /** what can be done with a disk that is mounted inside of the machine, see Sandbox; undefined of one that is gone */
  inside: Pick<Sandbox, "isRunning" | "whileFrozen" | "flush" | "grow" | "stats"> | undefined;
  /** synced from time to time */
  persistent: boolean;
  /** a line for people */
  log(line: string): void;
  /** told once when the workspace is no longer this node's: what the machine writes cannot be kept */
  lost(reason: string): void;
}
