import type { ServerOptions } from "@mags/server";
import { z } from "zod";
import { Networks } from "./gateway-config.ts";

/** The options that say what organisations may have, what their secrets are encrypted with, and whom their webhooks may call. */
export const quotaOptions = [
  {
    name: "quotaSandboxes",
    env: "MAGS_QUOTA_SANDBOXES",
    default: "none",
    help: "Machines that one organisation may have up at a time, unless its own quota says otherwise",
  },
  { name: "quotaVcpus", env: "MAGS_QUOTA_VCPUS", default: "none", help: "The same for their vcpus together" },
  {
    name: "quotaMemoryMb",
    env: "MAGS_QUOTA_MEMORY_MB",
    default: "none",
    unit: "MiB",
    help: "The same for their memory together",
  },
  {
    name: "quotaJobsPerMinute",
    env: "MAGS_QUOTA_JOBS_PER_MINUTE",
    default: "none",
    help: "Jobs that one organisation may start a minute",
  },
  {
    name: "secretsKey",
    env: "MAGS_SECRETS_KEY",
    default: "<data directory>/secrets.key, made at the first start",
    help: "Key that secrets are encrypted with, base64 of 32 bytes; older ones that still open, after commas. The same on every server",
    secret: true,
  },
  {
    name: "webhookAllow",
    env: "MAGS_WEBHOOK_ALLOW",
    default: "none",
    help: "Private networks that webhooks may call, such as 10.0.0.0/8,127.0.0.1",
  },
] as const;

const limit = z.coerce.number().min(0).optional();
const KEY = /^[A-Za-z0-9+/]{43}=$/;

/** What the variables hold by themselves. */
export const QuotaSettings = z.object({
  quotaSandboxes: limit,
  quotaVcpus: limit,
  quotaMemoryMb: limit,
  quotaJobsPerMinute: limit,
  secretsKey: z
    .string()
    .transform((value) => value.split(",").map((key) => key.trim()))
    .refine((keys) => keys.every((key) => KEY.test(key)), "must be base64 of 32 bytes (openssl rand -base64 32)")
    .optional(),
  webhookAllow: Networks.default([]),
});

/** For the server. */
export const quotasOf = (settings: z.infer<typeof QuotaSettings>): ServerOptions["quotas"] => ({
  sandboxes: settings.quotaSandboxes ?? null,
  vcpus: settings.quotaVcpus ?? null,
  memory_mb: settings.quotaMemoryMb ?? null,
  jobs_per_minute: settings.quotaJobsPerMinute ?? null,
});
