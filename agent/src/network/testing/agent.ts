/** An agent to be killed: makes two slots, gives the first to a process that outlives it, prints its pid, and waits. */
import { Cleanup, createLogger, spawn } from "@mags/kit";
import { Network } from "../index.ts";

const [instance = "", netns] = process.argv.slice(2);
const network = await Network.open({ instance, logger: createLogger("silent"), netns, resolvers: [] });
const slot = await network.acquire(new Cleanup());
await network.acquire(new Cleanup());
const holder = spawn("nsenter", [`--net=${slot.netnsPath}`, "sleep", "60"], {
  detached: true,
  cleanup: false,
  stdio: "ignore",
});
await new Promise((resolve) => setTimeout(resolve, 300));
await slot.handOver();
console.log(JSON.stringify({ id: slot.id, holder: holder.pid }));
setInterval(() => {}, 1000);
