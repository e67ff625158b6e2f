import { statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { Guest } from "./guest.ts";
import { memoryBytes } from "./machine.ts";
import type { Qmp } from "./qmp.ts";
import type { MachineRecord } from "./record.ts";
import { saveState } from "./state.ts";

/** What is written down of a machine that was put away with its memory; secret, as all of it is. */
export const SuspendedFile = z.object({
  made: z.string(),
  digest: z.string(),
  vcpus: z.number(),
  memoryMb: z.number(),
  address: z.string(),
  hostKey: z.string(),
  privateKey: z.string(),
  /** SHA-256 of the state */
  sha256: z.string(),
});

/** How long the processes of a machine may take to stand still, and its disk until all is on it, `ms`. */
const HOLD_MS = 60_000;
/** How long QEMU may take to end a transfer that was given up, `ms`. */
const RUN_MS = 10_000;
/** Of the state of a machine beside its memory at most, `bytes` */
const DEVICES_BYTES = 64 * 1024 ** 2;
export const paths = (dir: string) => ({ state: join(dir, "state"), facts: join(dir, "machine.json") });

/** Stops a machine and writes it to the directory `to`, with everything that goes on in it. */
export async function suspendMachine(
  { record, dir, qmp }: { record: MachineRecord; dir: string; qmp: Qmp },
  guest: Guest,
  to: string,
): Promise<void> {
  if (record.made === undefined) throw new Error("an earlier version of Mags has started the machine");
  await guest.run("box suspend", "", HOLD_MS);
  const { uid } = statSync(join(dir, "vm"));
  const outlet = { socket: join(dir, "vm", "state.sock"), uid, most: memoryBytes(record.size) + DEVICES_BYTES };
  const files = paths(to);
  const sha256 = await saveState(qmp, files.state, outlet, "within");
  const { made, image, size, address, hostKey, privateKey } = record;
  const { vcpus, memoryMb } = size;
  const facts = { made, digest: image.digest, vcpus, memoryMb, address, hostKey, privateKey, sha256 };
  await writeFile(files.facts, JSON.stringify(facts), { mode: 0o600, flush: true });
}

/** Lets a machine run on whose suspension has come to nothing; any other is let be. */
export async function letRun(qmp: Qmp): Promise<void> {
  for (const deadline = performance.now() + RUN_MS; ; await delay(50)) {
    const { status } = await qmp.execute<{ status: string }>("query-status");
    if (!["paused", "finish-migrate", "postmigrate"].includes(status)) return;
    if (performance.now() > deadline) throw new Error(`a machine that was to be suspended does not run on: ${status}`);
    await qmp.execute("migrate_cancel").catch(() => undefined);
    await qmp.execute("cont").catch(() => undefined);
  }
}
