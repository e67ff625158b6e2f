import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { dirname, join } from "node:path";
import { Mags } from "@mags/sdk";

const { env } = process;

/** Where `mags login` keeps what it was told. */
export const configPath = join(homedir(), ".mags", "config.json");
/** The data directory of a server on this machine. */
export const dataDir = env.MAGS_DATA_DIR || "/var/lib/mags";
/** What a server on this machine makes its sandboxes by. */
export const wantedRuntime = env.MAGS_RUNTIME || "auto";
export const imageDir = env.MAGS_IMAGE_DIR || join(dataDir, "images");
/** What a daemon on this machine is called among the nodes. */
export const nodeName = env.MAGS_NODE_NAME || hostname();
export const listen = env.MAGS_LISTEN || "127.0.0.1:7070";
export const apiUrl = env.MAGS_API_URL || savedConfig().api_url || `http://${listen}`;

/** What NO_COLOR (any value) and TERM=dumb ask for; that the output is a terminal is for each stream to see. */
export const coloursWanted = !env.NO_COLOR && env.TERM !== "dumb";

/** What the terminal that we are in can do. */
export const terminalType = env.TERM || "xterm";

/** Raised when no token can be found. */
export class NoToken extends Error {
  override readonly name = "NoToken";
  readonly hint = "Run `mags login`, set MAGS_API_TOKEN, or run this on the machine of the server as root.";
}

/**
 * A client with the token from the environment, the user's config, or the server's own file on this machine.
 * Throws NoToken.
 */
export function client(): Mags {
  const apiToken = token();
  if (!apiToken) throw new NoToken("no token");
  return new Mags({ apiToken, apiUrl });
}

/** What the benchmark's process needs to reach the same server. */
export function benchEnvironment(): Record<string, string> {
  const apiToken = token();
  return { MAGS_API_URL: apiUrl, ...(apiToken ? { MAGS_API_TOKEN: apiToken } : {}) };
}

const token = () => env.MAGS_API_TOKEN || env.MAGS_TOKEN || savedConfig().api_token || localToken();

/** Keeps a token for later commands, readable for this user alone. */
export function saveConfig(config: { api_token: string; api_url: string }): void {
  mkdirSync(dirname(configPath), { recursive: true, mode: 0o700 });
  const draft = `${configPath}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, configPath);
}

/** Forgets what `saveConfig` kept. */
export const forgetConfig = () => rmSync(configPath, { force: true });

/** The variable that says who we are, whatever was kept; undefined when none does. */
export const tokenVariable = ["MAGS_API_TOKEN", "MAGS_TOKEN"].find((name) => env[name]);

function savedConfig(): { api_token?: string; api_url?: string } {
  try {
    return JSON.parse(readFileSync(configPath, "utf8"));
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
