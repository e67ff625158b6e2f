/** The repository tests itself: rules that no type can state. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { run } from "@mags/kit";
import { describe, expect, test } from "vitest";
import { options } from "../magsd/src/config.ts";
import { errors } from "../protocol/src/errors.ts";

const ROOT = join(import.meta.dirname, "..");
const IGNORED = /(^|\/)(node_modules|\.tools|\.git|dist|coverage)(\/|$)/;
const MAX_LINES = 400;

const find = (pattern: string): string[] =>
  globSync(pattern, { cwd: ROOT, exclude: (path) => IGNORED.test(path) }).sort();
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const sources = find("**/*.ts");
const shells = [...find("scripts/*"), ...find("images/**/*.sh"), ".ci/run"].filter((path) => !path.endsWith(".ts"));
const pages = find("**/*.md");
const manifests = find("**/package.json");

interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}
const dependenciesOf = (path: string): [string, string][] => {
  const manifest = JSON.parse(read(path)) as Manifest;
  const kinds = [manifest.dependencies, manifest.devDependencies, manifest.optionalDependencies];
  return kinds.flatMap((kind) => Object.entries(kind ?? {}));
};

/** Sources that match `pattern` though nothing allows them to. */
const offenders = (pattern: RegExp, allowed: RegExp): string[] =>
  sources.filter((path) => path !== "test/repo.test.ts" && !allowed.test(path) && pattern.test(read(path)));

describe("source", () => {
  test("the environment is read in config.ts only, where it is checked and documented", () => {
    const reads = /\bprocess\??\.env\b|\{[^}=]*\benv\b[^}=]*\}\s*(=\s*process\b|from "node:process")/;
    // Commands inherit it. Which namespace the process is in has to be known before anything else; tests choose their world by it.
    expect(
      offenders(
        reads,
        /(^|\/)config\.ts$|^kit\/src\/run\.ts$|^magsd\/src\/mount-namespace\.ts$|(^|\/)test\/|\/testing\//,
      ),
    ).toEqual([]);
  });

  test("processes are started in one place", () => {
    expect(offenders(/["'](node:)?child_process["']|from "execa"/, /^kit\/src\/run\.ts$/)).toEqual([]);
  });

  test("system calls are made in one place", () => {
    expect(offenders(/from "koffi"/, /^kit\/src\/syscalls\//)).toEqual([]);
  });

  test("no file is longer than 400 lines, but for what a program writes", () => {
    const written = /^.*written by (scripts|tools)\//i;
    const long = [...sources, ...shells, ...find("**/*.py")].filter(
      (path) => read(path).split("\n").length > MAX_LINES + 1 && !written.test(read(path)),
    );
    expect(long).toEqual([]);
  });

  test("what is left to do is an issue, not a remark", () => {
    const remark = /\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))/;
    expect([...offenders(remark, /^$/), ...shells.filter((path) => remark.test(read(path)))]).toEqual([]);
  });

  test("tests are never skipped, and none runs alone", () => {
    expect(offenders(/\b(test|it|describe)\.(skip|only|todo)\b/, /^$/)).toEqual([]);
  });
});

describe("generated files are what the code says", () => {
  for (const generator of ["gen-openapi", "gen-docs", "gen-types"]) {
    test(`scripts/${generator}.ts`, async () => {
      await run(process.execPath, [`scripts/${generator}.ts`, "--check"], { cwd: ROOT });
    });
  }
});

describe("documentation", () => {
  test("docs/errors.md lists every error of the API, and no other", () => {
    const rows = [...read("docs/errors.md").matchAll(/^\| `(\w+)` +\| (\d+) +\|/gm)].map(([, code, status]) => [
      code,
      Number(status),
    ]);
    expect(rows).toEqual(Object.entries(errors).map(([code, { status }]) => [code, status]));
  });

  test("docs/config.md lists every setting of the daemon, and no other", () => {
    const rows = [...read("docs/config.md").matchAll(/^\| `([A-Z0-9_]+)` +\|/gm)].map(([, name]) => name);
    expect(rows).toEqual(options.map((option) => option.env));
  });

  test("README leads to every page of docs", () => {
    const linked = relativeLinks("README.md").map((link) => link.split("#")[0]);
    expect(find("docs/*.md").filter((page) => !linked.includes(page))).toEqual([]);
  });

  test("every relative link leads somewhere", () => {
    const broken = pages.flatMap((page) =>
      relativeLinks(page)
        .filter((link) => !leadsSomewhere(page, link))
        .map((link) => `${page}: ${link}`),
    );
    expect(broken).toEqual([]);
  });

  test("files named in the documentation exist", () => {
    const named = /`((?:agent|server|storage|protocol|kit|sdk|cli|magsd|images|test|bench|scripts|docs)\/[\w./-]+)`/g;
    const missing = pages
      .filter((page) => page !== "CHANGELOG.md")
      .flatMap((page) => [...read(page).matchAll(named)].map(([, path]) => ({ page, path: path as string })))
      .filter(({ path }) => !existsSync(join(ROOT, path)));
    expect(missing).toEqual([]);
  });

  test("the changelog begins with what is unreleased", () => {
    expect(/^## (.*)$/m.exec(read("CHANGELOG.md"))?.[1]).toBe("Unreleased");
  });
});

describe("dependencies", () => {
  const used = manifests
    .flatMap(dependenciesOf)
    .map(([name]) => name)
    .filter((name) => !name.startsWith("@mags/"));
  const listed = (heading: string): string[] => {
    const [, table = ""] = read("docs/dependencies.md").split(
      new RegExp(`^\\| ${heading} package +\\| why +\\|$`, "m"),
    );
    const rows =
      table
        .trimStart()
        .split("\n\n")[0]
        ?.match(/^\| `.*$/gm) ?? [];
    return rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name as string),
    );
  };

  test("have exact versions, so that a clone of today and one of next year are the same", () => {
    const loose = manifests.flatMap((path) =>
      dependenciesOf(path)
        .filter(([, version]) => !/^(npm:[@\w./-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
        .map(([name, version]) => `${path}: ${name} ${version}`),
    );
    expect(loose).toEqual([]);
  });

  test("from npm are listed with a reason, and what is listed is used", () => {
    expect([...new Set(listed("npm"))].sort()).toEqual([...new Set(used)].sort());
  });

  test("from Debian are listed with a reason, and what is listed is used", () => {
    const wanted =
      `${read("scripts/packages")} ${read("scripts/packages-for-vms")} ${read("scripts/packages-for-tests")}`
        .trim()
        .split(/\s+/);
    expect(listed("Debian").sort()).toEqual([...new Set(wanted)].sort());
  });

  test("of one name have one version", () => {
    const versions = new Map<string, Set<string>>();
    for (const [name, version] of manifests.flatMap(dependenciesOf))
      versions.set(name, (versions.get(name) ?? new Set()).add(version));
    expect([...versions].filter(([, all]) => all.size > 1)).toEqual([]);
  });
});

function relativeLinks(page: string): string[] {
  const text = read(page).replace(/```[\s\S]*?```/g, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target as string)
    .filter((target) => !/^[a-z]+:/.test(target));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = "", anchor] = link.split("#");
  const target = path === "" ? page : normalize(join(dirname(page), path));
  if (!existsSync(join(ROOT, target))) return false;
  return anchor === undefined || anchorsOf(target).includes(anchor);
}

/** The anchors that a Markdown page's headings give. */
function anchorsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replace(/\s/g, "-"),
  );
}
