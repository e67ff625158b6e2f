import type { CallSettings } from "./http.ts";

/** Undefined options are left to the server's defaults. */
export interface RunOptions extends CallSettings {
  name?: string;
  /** keep the machine after the script */
  persistent?: boolean;
  ephemeral?: boolean;
  noSleep?: boolean;
  startupCommand?: string;
  environment?: Record<string, string>;
  /** uploaded files, placed in /root before the script starts */
  fileIds?: string[];
  /** time the script may run, `seconds`; 300 by default */
  timeout?: number;
  vcpus?: number;
  memoryMb?: number;
  diskGb?: number;
  rootfsType?: string;
  /** weakest isolation that is accepted */
  isolation?: "container" | "vm";
}

/** The options of a job in the wire's spelling; undefined ones are left out by JSON. */
export const jobBody = (options: RunOptions) => ({
  name: options.name,
  persistent: options.persistent,
  ephemeral: options.ephemeral,
  no_sleep: options.noSleep,
  startup_command: options.startupCommand,
  environment: options.environment,
  file_ids: options.fileIds,
  timeout: options.timeout,
  vcpus: options.vcpus,
  memory_mb: options.memoryMb,
  disk_gb: options.diskGb,
  rootfs_type: options.rootfsType,
  isolation: options.isolation,
});
