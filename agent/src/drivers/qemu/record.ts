import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, type SandboxRecord } from "../../sandbox/record.ts";
import { Guest } from "./guest.ts";
import { lastWords } from "./machine.ts";
import { hangUpSessions } from "./session.ts";
import { removeUplink } from "./tap.ts";

/** What is written down of a machine; `pid` is its supervisor's. */
export interface MachineRecord extends SandboxRecord {
  /** what else than image and size it is made of; not known of what cannot be suspended */
  made?: string;
  address: string;
  hostKey: string;
  privateKey: string;
}

export const netnsOf = (record: Pick<MachineRecord, "pid">): string => `/proc/${record.pid}/ns/net`;

/** The link goes at once by this; with the last process of its namespace it would go in a while. */
export function dropUplink(record: Pick<MachineRecord, "pid" | "startTime">): void {
  try {
    if (isAlive(record)) removeUplink(netnsOf(record));
  } catch {
    // It is just ending by itself.
  }
}

const RECONNECT_MS = 10_000;

/** What was done over the connection before is over: disk and processes are held no longer, and its sessions are hung up. */
export async function connectAgain(record: MachineRecord): Promise<Guest> {
  const { address, privateKey, hostKey } = record;
  const at = { netns: netnsOf(record), address, privateKey, hostKey };
  const guest = await Guest.connect(at, () => isAlive(record), performance.now() + RECONNECT_MS);
  await guest.run("box thaw 2>/dev/null; box go").catch(() => undefined);
  await hangUpSessions(guest);
  return guest;
}

/** Why a machine ended by itself. */
export function endOf({ dir }: { dir: string }): string {
  const code = read(join(dir, "ended"));
  const said = lastWords(dir);
  if (code === "0") return "the machine ended: it was switched off from inside";
  if (code === "1" && !said.includes("qemu-system")) return "the machine ended: its kernel panicked";
  return `the machine ended: QEMU ended with exit code ${code || "unknown"}${said ? ` (${said})` : ""}`;
}

export function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
