/**
 * What a gateway asks the server: `POST /gateway/v1/resolve`, with `Authorization: Bearer <node token>`. User traffic
 * itself goes from the gateway to the agent that is named in the answer, never through the server.
 */
import { z } from "zod";

/** Longest time that a caller is held while its sandbox comes up, `ms`. */
export const WAKE_LIMIT_MS = 30_000;

/** What a visitor came with: a host name, an SSH key and the user name it was shown under, or the job that a key led to. */
export const ResolveDoor = z.intersection(
  z.object({
    wait_ms: z.number().int().min(0).max(WAKE_LIMIT_MS).default(0).describe("Hold the answer until the sandbox is up"),
  }),
  z.discriminatedUnion("by", [
    z.object({ by: z.literal("host"), host: z.string().max(253).describe("Host header without its port") }),
    z.object({
      by: z.literal("ssh_key"),
      user: z.string().max(256),
      fingerprint: z.string().max(128).describe("SHA256:…"),
    }),
    z.object({ by: z.literal("job"), job: z.uuid() }),
  ]),
);
export type ResolveDoor = z.infer<typeof ResolveDoor>;

/** `POST /gateway/v1/login`: somebody has logged in by SSH with a key, which the gateway has seen proven. */
export const SshLogin = z.object({ job: z.uuid(), fingerprint: z.string().max(128), address: z.string().max(64) });
export type SshLogin = z.infer<typeof SshLogin>;

/** What a visitor of a URL must show. Hashes are hexadecimal: SHA-256 of a token, scrypt of a password. */
export const DoorGuard = z.discriminatedUnion("access", [
  z.object({ access: z.literal("public") }),
  z.object({ access: z.literal("token"), hash: z.string() }),
  z.object({ access: z.literal("password"), username: z.string(), salt: z.string(), hash: z.string() }),
]);
export type DoorGuard = z.infer<typeof DoorGuard>;

/** scrypt of Node with its defaults and this many bytes. */
export const PASSWORD_HASH_BYTES = 32;

const Door = { job: z.uuid(), port: z.number().int().nullable().describe("null for SSH"), guard: DoorGuard };

/** `ready`: dial it. `waking`: it did not come up within `wait_ms`. `none`: nothing is behind this door, and why. */
export const ResolvedDoor = z.discriminatedUnion("state", [
  z.object({ state: z.literal("ready"), ...Door, node: z.string(), address: z.string().describe("The agent's API") }),
  z.object({ state: z.literal("waking"), ...Door, reason: z.string() }),
  z.object({ state: z.literal("none"), reason: z.string() }),
]);
export type ResolvedDoor = z.infer<typeof ResolvedDoor>;
