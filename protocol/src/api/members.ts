import { z } from "zod";

/** What a member of an organisation is; each may all that those after it may. */
export const memberRoles = ["owner", "admin", "member", "viewer"] as const;
export type MemberRole = (typeof memberRoles)[number];

export const passwordLimits = { least: 10, most: 256 } as const;

export const Password = z
  .string()
  .min(passwordLimits.least)
  .max(passwordLimits.most)
  .describe("At least 10 characters; kept as an argon2id hash");

/** Addresses are compared in lower case. */
export const Email = z
  .string()
  .max(254)
  .trim()
  .toLowerCase()
  .pipe(z.email({ error: "must be an e-mail address" }));

const MemberName = z
  .string()
  .max(128)
  .refine((name) => !/\p{Cc}/u.test(name), "must not contain control characters");

export const Member = z.object({
  id: z.uuid(),
  email: z.string(),
  name: z.string(),
  role: z.enum(memberRoles),
  state: z.enum(["active", "invited", "disabled"]).describe("invited: has not signed in and has no password yet"),
  has_password: z.boolean(),
  last_sign_in_at: z.string().nullable(),
  created_at: z.string(),
});
export type Member = z.infer<typeof Member>;

export const Invite = z.object({
  token: z.string().describe("The secret; it is shown this once and works once"),
  url: z.string().describe("Link to hand on: whoever opens it chooses the password"),
  expires_at: z.string(),
});

export const MemberMade = Member.extend({ invite: Invite.nullable().describe("null where a password was given") });
export type MemberMade = z.infer<typeof MemberMade>;

export const MemberList = z.object({ members: z.array(Member), total: z.number().int() });
export type MemberList = z.infer<typeof MemberList>;

/** Body of `POST /members`. */
export const AddMember = z.object({
  email: Email,
  name: MemberName.default(""),
  role: z.enum(memberRoles).default("member"),
  password: Password.optional().describe("Without one an invitation is made"),
});
export type AddMember = z.infer<typeof AddMember>;

/** Body of `PATCH /members/:id`. */
export const UpdateMember = z
  .strictObject({
    name: MemberName.optional(),
    role: z.enum(memberRoles).optional(),
    disabled: z.boolean().optional().describe("true: no sign-in and no token of the member works any more"),
  })
  .refine((change) => Object.keys(change).length > 0, "names nothing to change: send name, role or disabled");
export type UpdateMember = z.infer<typeof UpdateMember>;

export const MemberDeleted = z.object({ id: z.uuid(), deleted: z.literal(true) });
