import type { CallSettings } from "./http.ts";

/** Undefined options are left to the server's defaults. */
export interface RunOptions extends CallSettings {
  name?: string;
  /** keep the machine after the script */
  persistent?: boolean;
  ephemeral?: boolean;
  /** keeps the files under this name; made where there is none yet */
  workspaceId?: string;
  /** starts from this workspace, or one version of it (`name@3`); without `workspaceId` the changes are discarded */
  baseWorkspaceId?: string;
  /** while another job has the workspace: wait for it (the default), or fail with status 409 */
  onBusy?: "wait" | "fail";
  noSleep?: boolean;
  /** minutes without use after which the machine sleeps; the server's setting by default */
  idleMinutes?: number;
  /** `suspend` keeps its processes, memory and all, while it sleeps (virtual machines); `stop`, the default, ends them */
  sleep?: "stop" | "suspend";
  startupCommand?: string;
  environment?: Record<string, string>;
  /** variables that hold secrets, by name or `name@version`; masked in the log */
  secrets?: Record<string, string>;
  /** uploaded files, placed in /root before the script starts */
  fileIds?: string[];
  /** time the script may run, `seconds`; 300 by default, without limit for a persistent job */
  timeout?: number;
  vcpus?: number;
  memoryMb?: number;
  diskGb?: number;
  /** image: `base`, `alpine`, `browser`, or one of a registry as `docker://registry/name:tag` */
  rootfsType?: string;
  /** false: the script is not run by the image's entrypoint */
  entrypoint?: boolean;
  /** weakest isolation that is accepted */
  isolation?: "container" | "vm";
  /** what the machine is made by */
  runtime?: "qemu" | "container";
  /** run on exactly this image, as `ran_by` of an earlier job names it */
  imageDigest?: string;
  /** run only on a node that has all of these */
  nodeLabels?: Record<string, string>;
  /** how often it is started again, its script from the beginning, after its node was lost */
  nodeRetries?: number;
  /** what the machine may reach; a list has names (`*.` for all below), IPv4 addresses and CIDRs, with `:port` or without */
  network?: "default" | "none" | { allow: string[] };
}

/** The options of a job in the wire's spelling; undefined ones are left out by JSON. */
export const jobBody = (options: RunOptions) => ({
  name: options.name,
  persistent: options.persistent,
  ephemeral: options.ephemeral,
  workspace_id: options.workspaceId,
  base_workspace_id: options.baseWorkspaceId,
  on_busy: options.onBusy,
  no_sleep: options.noSleep,
  idle_minutes: options.idleMinutes,
  sleep: options.sleep,
  startup_command: options.startupCommand,
  environment: options.environment,
  secrets: options.secrets,
  file_ids: options.fileIds,
  timeout: options.timeout,
  vcpus: options.vcpus,
  memory_mb: options.memoryMb,
  disk_gb: options.diskGb,
  rootfs_type: options.rootfsType,
  entrypoint: options.entrypoint,
  isolation: options.isolation,
  runtime: options.runtime,
  image_digest: options.imageDigest,
  node_labels: options.nodeLabels,
  node_retries: options.nodeRetries,
  network: options.network,
});
