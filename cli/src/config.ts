import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Mags } from "@mags/sdk";

const { env } = process;

/** The data directory of a server on this machine. */
export const dataDir = env.MAGS_DATA_DIR || "/var/lib/mags";
export const imageDir = env.MAGS_IMAGE_DIR || join(dataDir, "images");
export const listen = env.MAGS_LISTEN || "127.0.0.1:7070";
export const apiUrl = env.MAGS_API_URL || savedConfig().api_url || `http://${listen}`;

/** Raised when no token can be found. */
export class NoToken extends Error {
  override readonly name = "NoToken";
}

/** A client with the token from the environment, the user's config, or the server's own file on this machine. */
export function client(): Mags {
  const apiToken = env.MAGS_API_TOKEN || env.MAGS_TOKEN || savedConfig().api_token || localToken();
  if (!apiToken) throw new NoToken("no token: set MAGS_API_TOKEN, or run this as root on the machine of the server");
  return new Mags({ apiToken, apiUrl });
}

function savedConfig(): { api_token?: string; api_url?: string } {
  try {
    return JSON.parse(readFileSync(join(homedir(), ".mags", "config.json"), "utf8"));
  } catch {
    return {};
  }
}

function localToken(): string | undefined {
  try {
    return readFileSync(join(dataDir, "admin.token"), "utf8").trim();
  } catch {
    return undefined;
  }
}
