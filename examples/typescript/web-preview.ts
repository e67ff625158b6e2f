/** A web app with a live preview: files are written while the server runs, the URL stays, and a visit wakes it. */
import { get } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { Mags } from "@mags/sdk";

const NAME = "preview-typescript";
const SERVE = "cd /root/site && nohup python3 -m http.server 8080 >/dev/null 2>&1 &";
const mags = new Mags();

/** Fetches a page; names below `localhost` are this machine, which not every resolver knows. */
async function visit(url: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const [status, text] = await fetchPage(new URL(url));
    if (status === 200 || attempt === 50) return text.trim();
    await delay(200); // the server in the machine is just starting
  }
}

function fetchPage({ hostname, host, port, pathname }: URL): Promise<[number, string]> {
  const address = hostname.endsWith(".localhost") ? "127.0.0.1" : hostname;
  return new Promise((resolve, reject) => {
    get({ host: address, port, path: pathname, headers: { host } }, async (answer) => {
      let text = "";
      for await (const chunk of answer) text += chunk;
      resolve([answer.statusCode ?? 0, text]);
    }).on("error", reject);
  });
}

await mags.new(NAME, { startupCommand: SERVE });
const files = mags.machineFiles(NAME);
await files.write("site/index.html", "<h1>first</h1>\n", { parents: true });
await mags.exec(NAME, SERVE);
const { url } = await mags.url(NAME, 8080);
console.log(await visit(url));

await files.write("site/index.html", "<h1>second</h1>\n");
console.log(await visit(url));

await mags.sleep(NAME);
console.log("asleep:", (await mags.status(NAME)).status);
console.log(await visit(url));
await mags.stop(NAME);
await mags.deleteWorkspace(NAME, { force: true });
