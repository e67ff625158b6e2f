import { readFile } from "node:fs/promises";
import type { Cleanup } from "@mags/kit";
import type { Resuming } from "../../sandbox/driver.ts";
import { isAlive } from "../../sandbox/record.ts";
import { type Blank, type BlankContext, letScriptsIn, madeOf, makePlace, start } from "./blank.ts";
import { Guest } from "./guest.ts";
import { makeMac, newTime } from "./identity.ts";
import { dropUplink, netnsOf } from "./record.ts";
import { hangUpSessions } from "./session.ts";
import { hashOf } from "./state.ts";
import { paths, SuspendedFile } from "./suspend.ts";

/** How long a machine may take until it answers where it was, and then where it is, `ms`. */
const ANSWER_MS = 60_000;

/**
 * Takes up what `suspendMachine` has written, in a new place; `plug` gives it its disk. Its processes are held still, and it has the
 * time, random numbers and a network of its own. Throws where it does not come up as it was; what was made is on `cleanup`.
 */
export async function resumeMachine(
  context: BlankContext,
  { from, image, size }: Resuming,
  plug: (machine: Pick<Blank, "id" | "dir" | "uid" | "qmp">) => Promise<void>,
  cleanup: Cleanup,
): Promise<Blank> {
  const { state, facts } = paths(from);
  const saved = SuspendedFile.parse(JSON.parse(await readFile(facts, "utf8")));
  if (saved.made !== madeOf(context)) throw new Error("the kernel or QEMU of this node is another by now");
  if (saved.digest !== image.digest) throw new Error("the image is another by now");
  if (saved.vcpus !== size.vcpus || saved.memoryMb !== size.memoryMb) throw new Error("its size is another by now");
  if ((await hashOf(state)) !== saved.sha256) throw new Error("its saved memory is damaged");
  const { address: cameFrom, hostKey, privateKey } = saved;
  const place = await makePlace(context, cleanup);
  const { qmp, ...process } = await start(context, place, {
    image,
    size,
    // Nobody reads it: the machine has booted long ago.
    key: { privateKey, publicKey: `ssh-ed25519 ${hostKey}` },
    mac: makeMac(),
    cameFrom,
    incoming: { file: state, memory: "within", plug: (monitor) => plug({ ...place, qmp: monitor }) },
  });
  cleanup.add("uplink", () => dropUplink(process));
  const isUp = () => isAlive(process);
  const connect = (address: string) =>
    Guest.connect({ netns: netnsOf(process), address, privateKey, hostKey }, isUp, performance.now() + ANSWER_MS);
  const there = await connect(cameFrom);
  const { address, gateway } = place.slot;
  const lines = [address, gateway, ...newTime(), context.network.resolvConf()];
  await there.run("rejoin", lines.join("\n")).finally(() => there.close());
  const guest = await connect(address);
  cleanup.add("connection", () => guest.close());
  const blank = { ...place, ...process, qmp, guest, hostKey, privateKey };
  await letScriptsIn(blank, size);
  await hangUpSessions(guest);
  return blank;
}
