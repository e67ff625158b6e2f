import { memberRoles } from "@mags/protocol";
import type { ServerOptions } from "@mags/server";
import { z } from "zod";

/** The options that say how people reach the server and sign in. */
export const accessOptions = [
  {
    name: "publicUrl",
    env: "MAGS_PUBLIC_URL",
    default: "http:// and MAGS_LISTEN",
    help: "Where browsers find the dashboard, such as https://mags.example.com: invitations and OpenID sign-ins lead there; with https its cookies are sent by HTTPS alone",
  },
  {
    name: "oidcIssuer",
    env: "MAGS_OIDC_ISSUER",
    default: "none",
    help: "OpenID provider that people may sign in with, such as https://accounts.example.com. Its redirect URI is <MAGS_PUBLIC_URL>/api/v1/session/oidc/callback",
  },
  { name: "oidcClientId", env: "MAGS_OIDC_CLIENT_ID", default: "none", help: "What the provider calls this server" },
  {
    name: "oidcClientSecret",
    env: "MAGS_OIDC_CLIENT_SECRET",
    default: "none",
    help: "The secret it gave",
    secret: true,
  },
  { name: "oidcLabel", env: "MAGS_OIDC_LABEL", default: "OpenID", help: "What the button of the sign-in page says" },
  {
    name: "oidcDomains",
    env: "MAGS_OIDC_DOMAINS",
    default: "none",
    help: "Whose e-mail addresses may sign in, and into which organisation: example.com=acme,example.org=default; * is any domain",
  },
  {
    name: "oidcRole",
    env: "MAGS_OIDC_ROLE",
    default: "member",
    help: "Role of somebody who signs in for the first time: owner, admin, member or viewer",
  },
] as const;

const Domains = z
  .string()
  .transform((value) =>
    value.split(",").map((entry) => {
      const [domain = "", organisation = "default"] = entry.trim().toLowerCase().split("=");
      return { domain, organisation };
    }),
  )
  .refine(
    (entries) =>
      entries.every(({ domain, organisation }) => domain !== "" && /^[a-z0-9][a-z0-9-]{0,62}$/.test(organisation)),
    "must be domains with organisations, such as example.com=acme",
  );

const url = (error: string) => z.url({ protocol: /^https?$/, error }).transform((value) => value.replace(/\/+$/, ""));

/** What the variables hold by themselves. */
export const AccessSettings = z.object({
  publicUrl: url("must be a URL without a path, such as https://mags.example.com")
    .refine(
      (value) => new URL(value).pathname === "/",
      "must be a URL without a path, such as https://mags.example.com",
    )
    .optional(),
  oidcIssuer: z.url({ protocol: /^https?$/, error: "must be a URL, such as https://accounts.example.com" }).optional(),
  oidcClientId: z.string().optional(),
  oidcClientSecret: z.string().optional(),
  oidcLabel: z.string().max(64).default("OpenID"),
  oidcDomains: Domains.default([]),
  oidcRole: z.enum(memberRoles).default("member"),
});

type Settings = z.infer<typeof AccessSettings>;

/** What is wrong between options that are right by themselves. */
export function accessContradictions(settings: Settings): string[] {
  if (!settings.oidcIssuer) return [];
  const needed = [
    ["MAGS_OIDC_CLIENT_ID", settings.oidcClientId],
    ["MAGS_OIDC_CLIENT_SECRET", settings.oidcClientSecret],
    ["MAGS_OIDC_DOMAINS", settings.oidcDomains.length > 0],
    ["MAGS_PUBLIC_URL", settings.publicUrl],
  ] as const;
  return needed.filter(([, value]) => !value).map(([env]) => `${env}: sign-in by OpenID (MAGS_OIDC_ISSUER) needs it`);
}

/** For the server. */
export function accessOf(settings: Settings & { trustedProxies: string[] }): ServerOptions["access"] {
  const { publicUrl, trustedProxies, oidcIssuer: issuer, oidcClientId, oidcClientSecret } = settings;
  const { oidcLabel: label, oidcDomains: domains, oidcRole: role } = settings;
  const oidc = issuer
    ? { issuer, clientId: oidcClientId ?? "", clientSecret: oidcClientSecret ?? "", label, domains, role }
    : undefined;
  return { publicUrl, trustedProxies, oidc };
}
