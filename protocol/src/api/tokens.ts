import { z } from "zod";
import { type MemberRole, memberRoles } from "./members.ts";

/** What a token may do, each with all before it; `operator` is for who runs the server: organisations. */
export const tokenScopes = ["read", "run", "admin", "operator"] as const;
export type TokenScope = (typeof tokenScopes)[number];

/** True when one of `scopes` is `needed` or more. */
export const allows = (scopes: readonly TokenScope[], needed: TokenScope): boolean =>
  scopes.some((scope) => tokenScopes.indexOf(scope) >= tokenScopes.indexOf(needed));

/** What a sign-in of that role may do. Owners differ from admins in this alone: only they change owners. */
export const scopeOfRole: Record<MemberRole, TokenScope> = {
  owner: "admin",
  admin: "admin",
  member: "run",
  viewer: "read",
};

const Name = z
  .string()
  .min(1)
  .max(128)
  .refine((name) => !/\p{Cc}/u.test(name), "must not contain control characters");

/** Body of `POST /tokens`. */
export const CreateToken = z.object({
  name: Name.describe("Label; one token of an organisation has it"),
  scopes: z.array(z.enum(tokenScopes)).min(1).default(["run"]).describe("read, run (and read), admin (and run)"),
  expires_in_days: z.number().positive().max(3650).optional().describe("Valid for ever if absent"),
});
export type CreateToken = z.infer<typeof CreateToken>;

/** A token as it is shown: never its secret. */
export const Token = z.object({
  id: z.uuid(),
  name: z.string(),
  scopes: z.array(z.enum(tokenScopes)),
  created_by: z.string().nullable().describe("Name of the token, or e-mail of the member, that made it"),
  member: z
    .string()
    .nullable()
    .describe("E-mail of the member whose token it is: it may never do more than the member, and goes with the member"),
  created_at: z.string(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable().describe("To the minute"),
});
export type Token = z.infer<typeof Token>;

export const TokenMade = Token.extend({ token: z.string().describe("The secret; it is shown this once") });
export type TokenMade = z.infer<typeof TokenMade>;

export const TokenList = z.object({ tokens: z.array(Token), total: z.number().int() });
export type TokenList = z.infer<typeof TokenList>;

export const TokenRevoked = z.object({ id: z.uuid(), revoked: z.literal(true) });

/** Whom the server takes the caller for. */
export const Whoami = z.object({
  organisation: z.string(),
  token: z.string().describe("Name of the token, or the member's e-mail where a browser is signed in by password"),
  scopes: z.array(z.enum(tokenScopes)),
  member: z
    .object({ id: z.uuid(), email: z.string(), name: z.string(), role: z.enum(memberRoles) })
    .nullable()
    .describe("The member who is signed in, or whose token it is"),
});
export type Whoami = z.infer<typeof Whoami>;

export const CreateOrganisation = z.object({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "must be of a-z 0-9 -, at most 63 characters, not starting with -"),
});

/** A new organisation, with the one token that can make others. */
export const OrganisationMade = z.object({ id: z.string(), token: TokenMade });
export type OrganisationMade = z.infer<typeof OrganisationMade>;

export const OrganisationList = z.object({
  organisations: z.array(z.object({ id: z.string(), created_at: z.string(), tokens: z.number().int() })),
  total: z.number().int(),
});
export type OrganisationList = z.infer<typeof OrganisationList>;
