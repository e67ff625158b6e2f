/** Builds the package as it is published, for Node >= 18 and browsers: `node sdk/node/build.ts [directory]`. */
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { build } from "tsdown";

const here = import.meta.dirname;
const outDir = resolve(process.argv[2] ?? join(here, "dist"));
const { name, version } = JSON.parse(await readFile(join(here, "package.json"), "utf8"));

await build({
  config: false,
  cwd: here,
  entry: ["src/index.ts"],
  outDir,
  format: ["esm", "cjs"],
  dts: true,
  platform: "neutral",
  target: "node18",
  logLevel: "error",
});

const condition = (code: string, types: string) => ({ types: `./${types}`, default: `./${code}` });
const manifest = {
  name,
  version,
  description: "Client of Mags: run scripts in isolated Linux machines that you host yourself",
  license: "MIT",
  type: "module",
  engines: { node: ">=18.17" },
  main: "./index.cjs",
  types: "./index.d.cts",
  exports: { ".": { import: condition("index.js", "index.d.ts"), require: condition("index.cjs", "index.d.cts") } },
  sideEffects: false,
};
await writeFile(join(outDir, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
await copyFile(join(here, "README.md"), join(outDir, "README.md"));
