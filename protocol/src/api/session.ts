import { z } from "zod";

/** Body of `POST /session`. */
export const SignIn = z.object({ token: z.string().min(1, "must not be empty").max(512).describe("An API token") });

/** Whom a browser is signed in as. */
export const Session = z.object({
  name: z.string().describe("Name of the token"),
  organisation: z.string(),
});

export const SignedOut = z.null().describe("Signed out");
