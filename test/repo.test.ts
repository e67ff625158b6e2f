import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { run } from "@mags/kit";
import { describe, expect, test } from "vitest";

const ROOT = new URL("..", import.meta.url).pathname;
const SKIPPED = new Set(["node_modules", ".git", ".tools", "dist"]);

/** Paths of all files below `dir`, relative to the repository. */
function filesBelow(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.has(entry.name)) return [];
    const path = join(dir, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [relative(ROOT, path)];
  });
}

const read = (path: string) => readFileSync(join(ROOT, path), "utf8");
const all = filesBelow(ROOT);
const sources = all.filter((path) => path.endsWith(".ts"));
const shipped = sources.filter((path) => !/\.test\.ts$|^test\/|\/testing/.test(path));
const node = (script: string, ...args: string[]) => run(process.execPath, [join(ROOT, script), ...args]);

describe("the repository", () => {
  test("reads its environment in config files only", () => {
    const allowed = /config\.ts$|^magsd\/src\/mount-namespace\.ts$/;
    const offenders = shipped.filter((path) => !allowed.test(path) && /process\??\.env/.test(read(path)));
    expect(offenders).toEqual([]);
  });

  test("starts processes and makes system calls through one door each", () => {
    const processes = shipped.filter((path) => /child_process|from "execa"/.test(read(path)));
    expect(processes).toEqual(["kit/src/run.ts"]);
    const syscalls = shipped.filter((path) => /from "koffi"/.test(read(path)));
    expect(syscalls.every((path) => path.startsWith("kit/src/syscalls/"))).toBe(true);
  });

  test("has no file of more than 400 lines", () => {
    expect(sources.filter((path) => read(path).split("\n").length > 401)).toEqual([]);
  });

  test("has no TODO without an issue", () => {
    expect(shipped.filter((path) => /TODO(?! #\d)/.test(read(path)))).toEqual([]);
  });

  test("names exact versions of its dependencies, and says why it has each", () => {
    const reasons = read("docs/dependencies.md");
    for (const path of all.filter((file) => file.endsWith("package.json"))) {
      const { dependencies = {}, devDependencies = {}, optionalDependencies = {} } = JSON.parse(read(path));
      for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })) {
        expect(version, `${path}: ${name}`).toMatch(/^\d+\.\d+\.\d+/);
        if (!name.startsWith("@mags/")) expect(reasons, name).toContain(`\`${name}\``);
      }
    }
  });

  test("gives a reason for each Debian package that the setup installs", () => {
    const reasons = read("docs/dependencies.md");
    for (const name of read("scripts/packages").trim().split(/\s+/)) expect(reasons, name).toContain(`\`${name}\``);
  });

  test("has documents whose links lead somewhere", () => {
    const broken: string[] = [];
    for (const path of all.filter((file) => file.endsWith(".md"))) {
      for (const [, target] of read(path).matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        if (!all.includes(join(dirname(path), target as string))) broken.push(`${path}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  test("has a committed API description and reference pages that are what the code says", async () => {
    await node("scripts/gen-openapi.ts", "--check");
    await node("scripts/gen-docs.ts", "--check");
  });
});
