/**
 * Writes protocol/openapi.json from the routes and their schemas; `--check` exits 1 when the file is not up to date.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openApiDocument } from "@mags/server";

const root = join(import.meta.dirname, "..");
const file = join(root, "protocol", "openapi.json");
const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
const text = `${JSON.stringify(await openApiDocument(version), null, 2)}\n`;

if (!process.argv.includes("--check")) {
  await writeFile(file, text);
} else if ((await readFile(file, "utf8").catch(() => "")) !== text) {
  console.error("protocol/openapi.json is not up to date: run node scripts/gen-openapi.ts");
  process.exitCode = 1;
}
