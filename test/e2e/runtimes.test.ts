/** The Node client as it is published, in the oldest Node that it is for, in Bun, and in a page of another origin. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { run } from "@mags/kit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startBrowser } from "../harness/browser.ts";
import { Daemon } from "../harness/daemon.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PAGE = `<!doctype html><title>page</title><script type="module">
  import { Mags } from "./index.js";
  const use = async (apiUrl, apiToken) => {
    const mags = new Mags({ apiUrl, apiToken });
    const { stdout } = await mags.runAndWait("echo from-a-page");
    const { requestId } = await mags.run("printf 'a\\\\377b\\\\n'");
    const lines = [];
    for await (const item of mags.followLogs(requestId)) if (item.type === "entry") lines.push(item.source);
    await mags.new("page-box");
    const exec = await mags.exec("page-box", "cat", { stdin: new Uint8Array([255, 0]) });
    const [fileId] = await mags.uploadFiles([new File(["kept"], "note.txt")]);
    const uploaded = (await mags.runAndWait("cat note.txt", { fileIds: [fileId] })).stdout;
    return [stdout, lines.includes("stdout"), [...exec.stdoutBytes], uploaded, (await mags.list()).total >= 4];
  };
  window.use = (...where) => use(...where).catch((error) => error.message);
</script>`;

let daemon: Daemon;
let page: Server;
let scratch: string;
let built: string;
beforeAll(async () => {
  scratch = await mkdtemp("/tmp/mags-runtimes-");
  built = join(scratch, "node_modules/@mags/sdk");
  await mkdir(built, { recursive: true });
  await run(process.execPath, [join(ROOT, "sdk/node/build.ts"), built]);
  const script = await readFile(join(built, "index.js"));
  page = createServer(({ url }, response) => {
    if (url === "/") response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    else response.writeHead(url === "/index.js" ? 200 : 404, { "content-type": "text/javascript" }).end(script);
  });
  await new Promise<void>((resolve) => page.listen(0, "127.0.0.1", resolve));
  daemon = await Daemon.start({ MAGS_CORS_ORIGINS: `http://127.0.0.1:${(page.address() as AddressInfo).port}` });
});
afterAll(async () => {
  page.close();
  await daemon?.remove();
  await rm(scratch, { recursive: true, force: true });
});

/** The package of a runtime for this machine's processor, as npm has installed it. */
function runtime(name: string, file: string): string {
  const manifest = createRequire(import.meta.url).resolve(`${name}-linux-${process.arch}/package.json`);
  return join(dirname(manifest), file);
}

const body = `
  const mags = new Mags({ apiUrl: process.argv[2], apiToken: process.argv[3] });
  const main = async () => {
    const { stdout, exitCode } = await mags.runAndWait("echo hello; exit 3");
    const [fileId] = await mags.uploadFiles([process.argv[4]]);
    const uploaded = (await mags.runAndWait("cat data.txt", { fileIds: [fileId] })).stdout;
    const { requestId } = await mags.run("for n in 1 2 3; do echo $n; sleep 0.1; done");
    const lines = [];
    for await (const item of mags.followLogs(requestId)) if (item.type === "entry" && item.source === "stdout") lines.push(item.message);
    const code = await mags.status("nobody").catch((error) => error instanceof MagsError && error.statusCode);
    console.log(JSON.stringify([stdout, exitCode, uploaded, lines, code]));
  };
  main();
`;

describe.each([
  ["Node 18", "node-18", "bin/node"],
  ["Bun", "bun", "bin/bun"],
])("%s", (_, name, file) => {
  test.each([
    ["modules", "use.mjs", `import { Mags, MagsError } from "@mags/sdk";${body}`],
    ["CommonJS", "use.cjs", `const { Mags, MagsError } = require("@mags/sdk");${body}`],
  ])("runs programs written as %s", async (_kind, program, text) => {
    await writeFile(join(scratch, program), text);
    await writeFile(join(scratch, "data.txt"), "data\n");
    const args = [join(scratch, program), daemon.url, await daemon.token(), join(scratch, "data.txt")];
    const printed = await run(runtime(name, file), args);
    expect(JSON.parse(printed)).toEqual(["hello\n", 3, "data\n", ["1", "2", "3"], 404]);
  });
});

test("Node 18 is what its name says", async () => {
  expect(await run(runtime("node-18", "bin/node"), ["--version"])).toMatch(/^v18\./);
});

test("a page of an origin that may runs jobs; one of another origin may not", async () => {
  const browser = await startBrowser();
  try {
    const { port } = page.address() as AddressInfo;
    const use = async (origin: string) => {
      const tab = await browser.newPage();
      await tab.goto(origin);
      await tab.waitForFunction("window.use");
      return tab.evaluate(`window.use(${JSON.stringify(daemon.url)}, ${JSON.stringify(await daemon.token())})`);
    };
    expect(await use(`http://127.0.0.1:${port}`)).toEqual(["from-a-page\n", true, [255, 0], "kept", true]);
    expect(await use(`http://localhost:${port}`)).toMatch(/no answer from/);
  } finally {
    await browser.close();
  }
});
