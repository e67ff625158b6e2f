import { z } from "zod";

const count = z.number().int().min(0).max(1_000_000_000);

/** What an organisation may have; null is no limit. */
export const QuotaLimits = z.object({
  sandboxes: count.nullable().describe("Machines up or about to be; sleeping ones do not count"),
  vcpus: z.number().min(0).nullable().describe("The vcpus of those machines together"),
  memory_mb: count.nullable().describe("Their memory together, in MiB"),
  jobs_per_minute: count.nullable().describe("Jobs that may be started, filled evenly"),
  workspaces: count.nullable(),
  stored_bytes: z
    .number()
    .int()
    .min(0)
    .nullable()
    .describe("Workspaces in the object store, equal chunks counted once"),
});
export type QuotaLimits = z.infer<typeof QuotaLimits>;

export const QuotaUsed = z.object({
  sandboxes: z.number().int(),
  vcpus: z.number(),
  memory_mb: z.number(),
  jobs_per_minute: z.number().describe("Jobs of the last minute"),
  workspaces: z.number().int(),
  stored_bytes: z.number(),
});

export const OrganisationQuota = z.object({ organisation: z.string(), limits: QuotaLimits, used: QuotaUsed });
export type OrganisationQuota = z.infer<typeof OrganisationQuota>;

/** Body of `PATCH /organisations/:id/quota`: null takes a limit back to the server's default. */
export const UpdateQuota = z
  .strictObject(
    Object.fromEntries(Object.entries(QuotaLimits.shape).map(([name, limit]) => [name, limit.optional()])) as {
      [Name in keyof QuotaLimits]: z.ZodOptional<(typeof QuotaLimits.shape)[Name]>;
    },
  )
  .refine((change) => Object.keys(change).length > 0, "names no limit");
export type UpdateQuota = z.infer<typeof UpdateQuota>;
