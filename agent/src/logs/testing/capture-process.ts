/** A process that only captures the log in its argument, for tests that kill it. */
import { LogCapture } from "../capture.ts";

LogCapture.open({ dir: process.argv[2] as string, limitBytes: 1e8 });
process.stdout.write("open\n");
setInterval(() => undefined, 1000);
