/** Asks a name server: argv is its address, a name and a type; prints the answer, or the error's code, as JSON. */
import { Resolver } from "node:dns/promises";

const [server = "", name = "", type = "A"] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 2000, tries: 1 });
resolver.setServers([server]);
console.log(
  JSON.stringify(
    await resolver.resolve(name, type).catch((error: NodeJS.ErrnoException) => error.code ?? error.message),
  ),
);
