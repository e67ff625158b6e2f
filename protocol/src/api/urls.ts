import { z } from "zod";

/** The port that the hosted service's clients mean when they name none. */
export const DEFAULT_PORT = 8080;
export const SSH_PORT = 22;

export const doorLimits = {
  /** lifetime of a generated SSH key, `seconds` */
  sshKeySecondsDefault: 24 * 3600,
  sshKeySecondsMax: 30 * 24 * 3600,
  /** generated keys that one job has at a time; the oldest go first */
  sshKeysPerJob: 100,
  /** open ports of one job */
  portsPerJob: 100,
} as const;

export const doorAccesses = ["public", "token", "password"] as const;

const Guard = {
  access: z
    .enum(doorAccesses)
    .optional()
    .describe("Who may use the URL: everybody, or who has its token or password. Left as it is where not given"),
  username: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[^:\p{Cc}]+$/u, "must hold no colon and no control character")
    .optional()
    .describe('With access "password"; mags if absent'),
  password: z
    .string()
    .min(8, "must be at least 8 characters long")
    .max(128)
    .regex(/^\P{Cc}+$/u, "must hold no control character")
    .optional()
    .describe('With access "password"; generated if absent'),
};

const passwordFits = (guard: { access?: string | undefined; username?: string; password?: string }) =>
  guard.access === "password" || (guard.username === undefined && guard.password === undefined);
const passwordHelp = { path: ["access"], message: 'must be "password" where username or password is given' };

/** Body of `POST /mags-jobs/:id/access`. */
export const OpenDoor = z
  .object({
    port: z
      .number()
      .int()
      .min(1)
      .max(65535)
      .default(DEFAULT_PORT)
      .describe("22 gives an SSH key; any other port a URL that leads to it"),
    ...Guard,
    expires_in: z
      .number()
      .int()
      .min(60)
      .max(doorLimits.sshKeySecondsMax)
      .default(doorLimits.sshKeySecondsDefault)
      .describe("Lifetime of the SSH key, in seconds (port 22)"),
  })
  .refine(passwordFits, passwordHelp);
export type OpenDoor = z.infer<typeof OpenDoor>;

const Secrets = {
  access: z.enum(doorAccesses),
  token: z
    .string()
    .optional()
    .describe("Shown once. Send it as X-Mags-Token, or open the URL with ?mags_token=… once: a cookie then holds it"),
  username: z.string().optional(),
  password: z.string().optional().describe("Shown once, where it was generated"),
};

/** Answer for a port other than 22. */
export const UrlOpened = z.object({
  success: z.literal(true),
  port: z.number().int(),
  url: z.string(),
  subdomain: z.string().describe("Host name of the URL below the domain of all apps"),
  ...Secrets,
});
export type UrlOpened = z.infer<typeof UrlOpened>;

/** Answer for port 22. */
export const SshOpened = z.object({
  success: z.literal(true),
  port: z.literal(SSH_PORT),
  ssh_host: z.string(),
  ssh_port: z.number().int(),
  ssh_user: z.string(),
  ssh_private_key: z.string().describe("Shown once: only its public half is kept"),
  ssh_host_key: z.string().describe("Public key of the gateway, as known_hosts has it"),
  expires_at: z.string(),
});
export type SshOpened = z.infer<typeof SshOpened>;

const Subdomain = z
  .string()
  .regex(
    /^(?!.*--)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    "must be a host name of at most 63 letters a-z, digits and single hyphens, with no hyphen first or last",
  );

/** Body of `POST /mags-url-aliases`. */
export const CreateUrlAlias = z
  .object({
    subdomain: Subdomain.describe("The stable name, unique in this installation"),
    workspace_id: z.string().min(1).max(128).describe("The name follows this workspace to whatever job has it"),
    domain: z.string().max(253).optional().describe("Accepted for the hosted service's clients; ours is used"),
    port: z
      .number()
      .int()
      .min(1)
      .max(65535)
      .refine((port) => port !== SSH_PORT, "must not be 22: SSH has no URL")
      .optional()
      .describe("Port it leads to; if absent the one the job opened first, else 8080"),
    ...Guard,
  })
  .refine(passwordFits, passwordHelp);
export type CreateUrlAlias = z.infer<typeof CreateUrlAlias>;

export const UrlAlias = z.object({
  id: z.uuid(),
  subdomain: z.string(),
  url: z.string(),
  workspace_id: z.string(),
  port: z.number().int().nullable(),
  created_at: z.string(),
  ...Secrets,
});
export type UrlAlias = z.infer<typeof UrlAlias>;

export const UrlAliasList = z.object({ aliases: z.array(UrlAlias), total: z.number().int() });

/** Body of `POST /mags-ssh-keys`. */
export const AddSshKey = z.object({
  public_key: z
    .string()
    .min(1)
    .max(16 * 1024)
    .describe("One line, as ~/.ssh/id_ed25519.pub has it"),
  name: z.string().min(1).max(128).optional().describe("Label; the key's comment if absent"),
});
export type AddSshKey = z.infer<typeof AddSshKey>;

export const SshKey = z.object({
  id: z.uuid(),
  name: z.string(),
  fingerprint: z.string().describe("SHA256:…, as ssh-keygen -l shows it"),
  public_key: z.string(),
  created_at: z.string(),
});
export type SshKey = z.infer<typeof SshKey>;

export const SshKeyList = z.object({ keys: z.array(SshKey), total: z.number().int() });
