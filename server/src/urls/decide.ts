import { isFinal, type JobStatus } from "@mags/protocol";

/** Random part of a job's host name, in characters of base 32: 60 bits. */
const RANDOM_CHARACTERS = 12;
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** `<subdomain>--<port>`: a hyphen is never doubled in a subdomain itself. */
const WITH_PORT = /^(.+)--([1-9]\d{0,4})$/;

/** A host name label that says which job it is and that nobody can guess. `random` has 12 bytes or more. */
export function newSubdomain(name: string, random: Uint8Array): string {
  const readable = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replace(/^-+|-+$/g, "");
  const secret = Array.from(random.slice(0, RANDOM_CHARACTERS), (byte) => BASE32[byte % 32]).join("");
  return [readable, secret].filter(Boolean).join("-");
}

/** The label that leads to a port of a job; the main one needs no number. */
export const portLabel = (subdomain: string, port: number, main: boolean): string =>
  main ? subdomain : `${subdomain}--${port}`;

/** Which subdomain, and port where one is named, a host name below `domain` asks for; undefined when it is none of ours. */
export function readHost(host: string, domain: string): { subdomain: string; port: number | undefined } | undefined {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (!name.endsWith(`.${domain}`)) return undefined;
  const label = name.slice(0, -domain.length - 1);
  if (!LABEL.test(label)) return undefined;
  const [, subdomain, port] = WITH_PORT.exec(label) ?? [];
  return subdomain === undefined ? { subdomain: label, port: undefined } : { subdomain, port: Number(port) };
}

/** Whether a visitor of a job can be let in now, has to wait, or never will. */
export function decideVisit(status: JobStatus): { action: "enter" | "wait" | "refuse"; reason: string } {
  if (status === "running") return { action: "enter", reason: "it is up" };
  if (isFinal(status)) return { action: "refuse", reason: "the sandbox behind this address has ended" };
  const reasons: Partial<Record<JobStatus, string>> = {
    accepted: "the sandbox waits for a free machine",
    starting: "the sandbox is starting",
    sleeping: "the sandbox is waking up",
  };
  return { action: "wait", reason: reasons[status] ?? `the sandbox is ${status}` };
}
