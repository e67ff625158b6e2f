/** A development environment: a machine that stays, with a workspace that outlives it, reached over SSH. */
import { Mags } from "@mags/sdk";
import { Client } from "ssh2";

const NAME = "dev-typescript";
const mags = new Mags();

/** Runs a command over SSH, as an editor's remote mode does; the machine's key is proved. */
async function ssh(command: string): Promise<string> {
  const access = await mags.access.ssh(NAME);
  const client = new Client();
  const ready = new Promise<void>((resolve, reject) => {
    client.once("ready", resolve);
    client.once("error", reject);
  });
  client.connect({
    host: access.ssh_host,
    port: access.ssh_port,
    username: access.ssh_user,
    privateKey: access.ssh_private_key,
    hostVerifier: (key: Buffer) => key.toString("base64") === access.ssh_host_key.split(" ")[1],
  });
  await ready;
  try {
    return await new Promise((resolve, reject) => {
      client.exec(command, (error, stream) => {
        if (error) return reject(error);
        let output = "";
        stream.on("data", (chunk: Buffer) => void (output += chunk));
        stream.on("close", () => resolve(output.trim()));
      });
    });
  } finally {
    client.end();
  }
}

await mags.new(NAME);
console.log(await ssh("git init -q project && cd project && echo 'console.log(\"hello\")' > main.js && node main.js"));
await mags.sync(NAME);
await mags.stop(NAME);

// Another day: the same files in another machine.
await mags.new(NAME);
console.log(await ssh("cat project/main.js"));
await mags.stop(NAME);
const { workspaces } = await mags.listWorkspaces();
console.log("kept:", workspaces.map((one) => one.workspace_id).includes(NAME));
await mags.deleteWorkspace(NAME, { force: true });
