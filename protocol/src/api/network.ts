import { z } from "zod";

/** One thing that a sandbox may reach: a name (`*.` for all below it) or IPv4 addresses, on one port or on all. */
export type AllowEntry =
  | { name: string; below: boolean; port: number | undefined }
  | { range: string; port: number | undefined };

const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const NAME = new RegExp(`^(\\*\\.)?(${LABEL}(?:\\.${LABEL})*)$`);
const OCTET = "(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)";
const RANGE = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}(?:/(?:[12]?\\d|3[0-2]))?$`);

/** Reads an entry such as `example.com`, `*.example.com:443`, `192.0.2.7` or `192.0.2.0/24:5432`; undefined when it is none. */
export function readAllowEntry(text: string): AllowEntry | undefined {
  const [, place = "", digits] = /^([^:]+)(?::(\d{1,5}))?$/.exec(text.toLowerCase()) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  if (/^[\d./]+$/.test(place)) return RANGE.test(place) ? { range: place, port } : undefined;
  const [, below, name] = NAME.exec(place.replace(/\.$/, "")) ?? [];
  return name === undefined || name.length > 253 ? undefined : { name, below: below !== undefined, port };
}

/** What a machine may reach. */
export const NetworkPolicy = z.union(
  [
    z.enum(["default", "none"]),
    z.strictObject({
      allow: z
        .array(
          z.string().refine((text) => readAllowEntry(text) !== undefined, {
            message: "must be a host name, *.name, IPv4 address or CIDR, with :port or without",
          }),
        )
        .max(256),
    }),
  ],
  { error: 'must be "default", "none" or {"allow": ["example.com", "*.example.com:443", "192.0.2.0/24:5432"]}' },
);
export type NetworkPolicy = z.infer<typeof NetworkPolicy>;
