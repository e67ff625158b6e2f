import { fail } from "./fail.ts";
import { program } from "./program.ts";
import { leaveWithReader } from "./render/output.ts";

leaveWithReader();
try {
  await program().parseAsync();
} catch (error) {
  fail(error);
}
// What was written last may wait for a slow reader, and would be dropped.
const streams = [process.stdout, process.stderr];
await Promise.all(streams.map((stream) => new Promise((written) => stream.write("", written))));
// A held connection of fetch must not keep a finished command.
process.exit(process.exitCode ?? 0);
