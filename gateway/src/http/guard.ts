import { createHash, scrypt, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { type DoorGuard, PASSWORD_HASH_BYTES } from "@mags/protocol";
import type { Visitor } from "./headers.ts";

/** Name of the cookie, and of the query parameter that becomes one. */
const TOKEN = "mags_token";
const TOKEN_HEADER = "x-mags-token";
const VERIFIED_LIMIT = 1000;

const hashPassword = promisify<string, string, number, Buffer>(scrypt);

/** What became of a visitor: let in with these changes to his request, sent on to an address, or refused. */
export type Admission =
  | { action: "enter"; path: string; replace: Record<string, string | null> }
  | { action: "redirect"; location: string; cookie: string }
  | { action: "refuse"; asksFor: "token" | "password"; tried: boolean };

/** Judges what a visitor shows at a door. Secrets of the door never reach the sandbox. */
export class Guards {
  /** digests of passwords that were right: scrypt is slow on purpose, and browsers send the password every time */
  readonly #verified = new Set<string>();

  async admit(guard: DoorGuard, request: IncomingMessage, visitor: Visitor): Promise<Admission> {
    const path = request.url ?? "/";
    if (guard.access === "public") return { action: "enter", path, replace: {} };
    if (guard.access === "token") return admitToken(guard.hash, request, visitor);
    const given = basicCredentials(request);
    if (given && (await this.#passwordFits(guard, given)))
      return { action: "enter", path, replace: { authorization: null } };
    return { action: "refuse", asksFor: "password", tried: given !== undefined };
  }

  async #passwordFits(
    guard: Extract<DoorGuard, { access: "password" }>,
    given: { username: string; password: string },
  ): Promise<boolean> {
    if (given.username !== guard.username || given.password.length > 128) return false;
    const digest = sha256(`${guard.salt}${guard.hash}${given.password}`);
    if (this.#verified.has(digest)) return true;
    const hash = await hashPassword(given.password, guard.salt, PASSWORD_HASH_BYTES);
    if (!equal(hash.toString("hex"), guard.hash)) return false;
    if (this.#verified.size >= VERIFIED_LIMIT) this.#verified.clear();
    this.#verified.add(digest);
    return true;
  }
}

/** A token comes in a header, a cookie, or once in the query, where a browser is sent on without it. */
function admitToken(hash: string, request: IncomingMessage, visitor: Visitor): Admission {
  const fits = (token: string | undefined) => token !== undefined && equal(sha256(token), hash);
  const { path, token: inQuery } = withoutToken(request.url ?? "/");
  const { cookie, token: inCookie } = splitCookies(request.headers.cookie);
  const inHeader = request.headers[TOKEN_HEADER];
  const replace = { [TOKEN_HEADER]: null, cookie: cookie === "" ? null : cookie };
  if (fits(inQuery)) {
    const browsing = request.method === "GET" && request.headers.upgrade === undefined;
    if (!browsing) return { action: "enter", path, replace };
    const secure = visitor.protocol === "https" ? "; Secure" : "";
    return {
      action: "redirect",
      location: `${visitor.protocol}://${visitor.host}${path}`,
      cookie: `${TOKEN}=${inQuery}; Path=/; HttpOnly; SameSite=Lax${secure}`,
    };
  }
  if (fits(typeof inHeader === "string" ? inHeader : undefined) || fits(inCookie))
    return { action: "enter", path, replace };
  return { action: "refuse", asksFor: "token", tried: [inQuery, inHeader, inCookie].some((t) => t !== undefined) };
}

function withoutToken(url: string): { path: string; token: string | undefined } {
  const mark = url.indexOf("?");
  if (mark === -1) return { path: url, token: undefined };
  const parameters = url.slice(mark + 1).split("&");
  const ours = (parameter: string) => parameter.startsWith(`${TOKEN}=`);
  const token = parameters.find(ours)?.slice(TOKEN.length + 1);
  const rest = parameters.filter((parameter) => !ours(parameter)).join("&");
  return { path: url.slice(0, mark) + (rest === "" ? "" : `?${rest}`), token };
}

function splitCookies(header: string | undefined): { cookie: string; token: string | undefined } {
  const cookies = (header ?? "").split(";").map((cookie) => cookie.trim());
  const ours = (cookie: string) => cookie.startsWith(`${TOKEN}=`);
  const token = cookies.find(ours)?.slice(TOKEN.length + 1);
  return { cookie: cookies.filter((cookie) => cookie !== "" && !ours(cookie)).join("; "), token };
}

function basicCredentials(request: IncomingMessage): { username: string; password: string } | undefined {
  const encoded = /^Basic +([\w+/=-]+) *$/i.exec(request.headers.authorization ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const [username = "", ...password] = Buffer.from(encoded, "base64").toString().split(":");
  return { username, password: password.join(":") };
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

const equal = (a: string, b: string) => a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
