import { type Command, Option } from "commander";
import { joinCluster, leaveCluster } from "../cluster/join.ts";
import { client, dataDir, nodeName } from "../config.ts";
import { list as collect, positive } from "../flags/values.ts";
import { err } from "../render/colours.ts";
import { printJson } from "../render/output.ts";
import { moment } from "../render/table.ts";

/** What makes a machine a node, and takes it out again. */
export function addMembership(node: Command): void {
  node
    .command("token")
    .description("make a join token and print it; one machine can join with it")
    .option("--name <node>", "the one name that it is for")
    .addOption(
      new Option("--role <role>", "agent or gateway: what the machine may be (repeatable; default: both)").argParser(
        collect,
      ),
    )
    .option("--minutes <number>", "how long it is valid (default: 60)", positive)
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags node token --name rack-2")
    .action(token);
  node
    .command("join")
    .description("make this machine a node; magsd is started on it afterwards")
    .argument("<url...>", "cluster addresses of the servers, such as https://10.0.0.1:7073")
    .requiredOption("--token <token>", "from `mags node token`")
    .option("--name <node>", "its name among the nodes (default: MAGS_NODE_NAME, else the host's)")
    .option("--address <address>", "at which the others reach this machine (default: the one that reaches the server)")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags node join https://10.0.0.1:7073 --token mags_join_…")
    .action(join);
  node
    .command("leave")
    .description("take this machine out of its cluster")
    .option("--force", "also while jobs are on it")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags node leave")
    .action(leave);
  node
    .command("remove")
    .alias("rm")
    .description("forget a node; what it was given when it joined opens nothing any more")
    .argument("<node>")
    .option("--force", "also one that is not known to be empty: what only it has is given up")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  mags node remove rack-2")
    .action(remove);
}

interface TokenFlags {
  name?: string;
  role?: ("agent" | "gateway")[];
  minutes?: number;
  json?: boolean;
}

async function token({ name, role, minutes, json }: TokenFlags): Promise<void> {
  const made = await client().nodes.createJoinToken({ node: name, roles: role, expiresInMinutes: minutes });
  if (json) return printJson(made);
  process.stdout.write(`${made.join_token}\n`);
  process.stderr.write(`${err.dim(`for one machine, until ${moment(made.expires_at)}`)}\n`);
}

async function join(
  urls: string[],
  { token, name = nodeName, address, json }: { token: string; name?: string; address?: string; json?: boolean },
): Promise<void> {
  const servers = urls.map((url) => url.replace(/\/$/, ""));
  const joined = await joinCluster(servers, token, { dataDir, node: name, address });
  if (json) return printJson({ node: joined.node, roles: joined.roles, address: joined.address });
  const roles = joined.roles.join(" and ");
  process.stdout.write(`${joined.node} joined as ${roles}; the others reach it at ${joined.address}\n`);
  process.stderr.write(`${err.dim("start magsd on it now, with the same object store as the servers")}\n`);
}

async function leave({ force = false, json }: { force?: boolean; json?: boolean }): Promise<void> {
  const left = await leaveCluster(dataDir, force);
  if (json) printJson({ left });
  else process.stdout.write(`${left} left the cluster\n`);
}

async function remove(name: string, { force, json }: { force?: boolean; json?: boolean }): Promise<void> {
  await client().nodes.remove(name, force ? { force } : {});
  if (json) printJson({ removed: name });
  else process.stdout.write(`removed ${name}\n`);
}
