import { fail } from "./fail.ts";
import { program } from "./program.ts";
import { leaveWithReader } from "./render/output.ts";

leaveWithReader();
try {
  await program().parseAsync();
} catch (error) {
  fail(error);
}
// A held connection of fetch must not keep a finished command.
process.exit(process.exitCode ?? 0);
