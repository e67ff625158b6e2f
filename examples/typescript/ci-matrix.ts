/** CI: prepare a workspace once, then run every cell of the matrix from it at the same time; one that fails fails all. */
import { Mags } from "@mags/sdk";

const BASE = "ci-typescript-base";
const SETUP = `
mkdir -p project && cd project
echo 'exports.add = (a, b) => a + b;' > calc.js
echo 'const [from, to] = process.argv.slice(2).map(Number); if (require("./calc").add(from, 1) !== to) process.exit(1);' > check.js
`;
const mags = new Mags();

const prepared = await mags.runAndWait(SETUP, { workspaceId: BASE });
if (prepared.exitCode !== 0) throw new Error(prepared.stderr);

const cells = ["1", "2"].flatMap((seed) => ["fast", "full"].map((suite) => ({ seed, suite })));
const results = await Promise.all(
  cells.map((environment) =>
    mags.runAndWait("cd project && node check.js $seed $(( seed + 1 )) && echo $suite with seed $seed is good", {
      baseWorkspaceId: BASE,
      environment,
    }),
  ),
);
for (const { stdout, stderr } of results) console.log(`${stdout}${stderr}`.trim());
await mags.deleteWorkspace(BASE, { force: true });

const passed = results.filter(({ exitCode }) => exitCode === 0).length;
console.log(`${passed} of ${results.length} passed`);
process.exitCode = passed === results.length ? 0 : 1;
