import { z } from "zod";
import { Email, memberRoles, Password } from "./members.ts";

/** Body of `POST /session`: a token, or e-mail and password. */
export const SignIn = z
  .object({
    token: z.string().min(1, "must not be empty").max(512).optional().describe("An API token"),
    email: Email.optional(),
    password: z.string().max(256).optional(),
    organisation: z.string().max(63).optional().describe("Needed where the e-mail is a member of several"),
  })
  .refine(({ token, email, password }) => token !== undefined || (email !== undefined && password !== undefined), {
    path: ["token"],
    message: "is required, or email and password",
  });
export type SignIn = z.infer<typeof SignIn>;

/** Whom a browser is signed in as. */
export const Session = z.object({
  name: z.string().describe("Name of the token, or the member's e-mail"),
  organisation: z.string(),
  role: z.enum(memberRoles).nullable().describe("null where a token signed in"),
});
export type Session = z.infer<typeof Session>;

/** What a page that signs people in can offer beside a token. */
export const SignInOptions = z.object({
  password: z.boolean(),
  oidc: z.object({ label: z.string(), start_url: z.string() }).nullable(),
});

/** Body of `POST /session/invite`. */
export const AcceptInvite = z.object({
  invite: z.string().min(1, "must not be empty").max(512),
  password: Password,
  name: z.string().max(128).optional(),
});
export type AcceptInvite = z.infer<typeof AcceptInvite>;

/** Body of `PUT /session/password`. */
export const ChangePassword = z.object({ current: z.string().max(256), password: Password });
export type ChangePassword = z.infer<typeof ChangePassword>;

export const PasswordChanged = z.null().describe("Changed");
export const SignedOut = z.null().describe("Signed out");
