import { ApiError } from "@mags/protocol";

type Body = Record<string, unknown>;

/** Clients send these empty where they mean to leave them out. */
const optional = ["workspace_id", "base_workspace_id", "file_ids", "rootfs_type", "disk_gb"];

/**
 * Turns the body of a job request as older clients send it into the one of today, before it is validated: the
 * `__MAGS_…` keys of the environment become fields (a field given outright wins) and do not reach the script.
 * Throws ApiError invalid_request for values that cannot be understood or honoured.
 */
export function modernise(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  const { ...job } = body as Body;
  refuseUnsupported(job);
  for (const field of optional) if (job[field] === null || job[field] === "") delete job[field];
  takeSettings(job);
  // The hosted service's name of what is our base image.
  if (job.rootfs_type === "standard") delete job.rootfs_type;
  return job;
}

function takeSettings(job: Body): void {
  const { environment } = job;
  if (typeof environment !== "object" || environment === null || Array.isArray(environment)) return;
  const {
    __MAGS_IDLE_MIN: idle,
    __MAGS_KEEP_ALIVE: keep,
    __MAGS_MEM_GB: memory,
    __MAGS_ROOTFS_TYPE: rootfs,
    ...rest
  } = environment as Body;
  job.environment = rest;
  if (idle !== undefined) job.idle_minutes ??= positive("__MAGS_IDLE_MIN", idle);
  if (memory !== undefined) job.memory_mb ??= Math.round(positive("__MAGS_MEM_GB", memory) * 1024);
  if (rootfs !== undefined && rootfs !== "") job.rootfs_type ??= rootfs;
  // Older clients send it with jobs of any kind; only a persistent one can sleep at all.
  if (keep !== undefined && job.persistent === true) job.no_sleep ??= /^(1|true|yes|on)$/i.test(String(keep));
}

function refuseUnsupported(job: Body): void {
  if (job.type === "url") {
    throw new ApiError(
      "invalid_request",
      'type "url" is not supported: send the text of the script in the field script, with type "inline"',
      "type",
    );
  }
}

function positive(key: string, value: unknown): number {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : Number.NaN;
  if (Number.isFinite(number) && number > 0) return number;
  throw new ApiError(
    "invalid_request",
    `environment.${key} must be a positive number as text, such as "2"`,
    `environment.${key}`,
  );
}
