import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunOptions, spawn } from "@mags/kit";
import { afterAll, expect } from "vitest";

const MAGS = new URL("../bin/mags", import.meta.url).pathname;
const DIR = new URL("./golden/", import.meta.url).pathname;
const update = process.env.UPDATE_GOLDEN === "1";
/** A home without settings, for files of tests too; it goes with them. */
export const home = mkdtempSync(join(tmpdir(), "mags-cli-test-"));
afterAll(() => rmSync(home, { recursive: true }));

/** The command as a stranger has it: no settings, no token, no colours but those that `env` asks for. */
export function mags(args: string[], env: Record<string, string> = {}, options: RunOptions = {}) {
  const clean = { PATH: process.env.PATH, HOME: home, MAGS_DATA_DIR: join(home, "none"), ...env };
  return spawn(MAGS, args, {
    input: "",
    ...options,
    env: clean,
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
  });
}

/** Compares with `golden/<name>.golden`; UPDATE_GOLDEN=1 writes it instead, to be read in the diff. */
export function expectGolden(name: string, actual: string): void {
  const path = join(DIR, `${name}.golden`);
  if (update) {
    mkdirSync(DIR, { recursive: true });
    writeFileSync(path, actual);
  }
  expect(existsSync(path), `${path} is missing: run with UPDATE_GOLDEN=1`).toBe(true);
  expect(actual).toBe(readFileSync(path, "utf8"));
}

/** What a person sees of a command: both outputs and the exit code, the server's address made the same everywhere. */
export async function session(args: string[], env: Record<string, string> = {}): Promise<string> {
  const result = await mags(args, env);
  const address = env.MAGS_API_URL ?? "http://127.0.0.1:7070";
  const text = `$ mags ${args.join(" ")}\n${result.stdout}--- stderr\n${result.stderr}--- exit code ${result.exitCode}\n`;
  return text.replaceAll(address, "http://server");
}
