import { z } from "zod";
import { CreateToken, TokenMade } from "./tokens.ts";

/** How long an approved login may be taken up, `seconds`. */
export const LOGIN_SECONDS = 300;
export const LOGIN_PREFIX = "login_";

/**
 * Body of `POST /logins`: somebody who is signed in lets a program in. The program keeps a secret of which it gives the
 * SHA-256 (RFC 7636), so that a code that others see is of no use to them.
 */
export const ApproveLogin = z.object({
  challenge: z
    .string()
    .regex(/^[\w-]{43}$/, "must be a SHA-256 in base64url, 43 characters")
    .describe("SHA-256 of the program's secret, in base64url"),
  name: CreateToken.shape.name.describe(
    "What the program calls itself; the token gets this name and four more letters",
  ),
  scope: z.enum(["read", "run", "admin"]).default("run").describe("What it may do; no more than who approves"),
});
export type ApproveLogin = z.infer<typeof ApproveLogin>;

export const LoginApproved = z.object({
  code: z.string().describe("For the program, once"),
  expires_in: z.number().int().describe("Seconds"),
});
export type LoginApproved = z.infer<typeof LoginApproved>;

/** Body of `POST /logins/exchange`. */
export const ExchangeLogin = z.object({
  code: z.string().min(1, "must not be empty").max(256),
  verifier: z.string().min(1, "must not be empty").max(256).describe("The program's secret"),
});
export type ExchangeLogin = z.infer<typeof ExchangeLogin>;

export const LoginExchanged = TokenMade.extend({ organisation: z.string() });
export type LoginExchanged = z.infer<typeof LoginExchanged>;
