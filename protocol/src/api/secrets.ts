import { z } from "zod";

export const secretLimits = { valueBytes: 64 * 1024, perOrganisation: 500, perJob: 64, versions: 10 } as const;

const NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";
const utf8 = new TextEncoder();

export const SecretName = z
  .string()
  .regex(
    new RegExp(`^${NAME}$`),
    "must be of letters, digits and . _ -, at most 64 characters, beginning with a letter or digit",
  );

/** In a job: the newest version, or one of them. */
export const SecretReference = z
  .string()
  .regex(
    new RegExp(`^${NAME}(@[1-9][0-9]{0,8})?$`),
    "must be the name of a secret, or one version of it, such as db-password@3",
  );

/** Body of `PUT /secrets/:name`. */
export const SetSecret = z.object({
  value: z
    .string()
    .min(1, "must not be empty")
    .refine((value) => utf8.encode(value).length <= secretLimits.valueBytes, "is larger than 64 KiB")
    .refine((value) => !value.includes("\0"), "must not contain a NUL character"),
});

/** A secret as it is shown: never its value. */
export const Secret = z.object({
  name: z.string(),
  version: z.number().int().describe("The newest"),
  versions: z.array(z.number().int()).describe("Those that a job may name, newest first"),
  created_at: z.string(),
  updated_at: z.string(),
  updated_by: z.string().nullable().describe("Such as token ci or member ann@example.org"),
});
export type Secret = z.infer<typeof Secret>;

export const SecretList = z.object({ secrets: z.array(Secret), total: z.number().int() });
export type SecretList = z.infer<typeof SecretList>;

export const SecretDeleted = z.object({ name: z.string(), deleted: z.literal(true) });
