import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NetworkPolicy } from "@mags/protocol";
import type { Image, SandboxSize } from "./driver.ts";
import { statFields } from "./processes.ts";

/** What every driver writes down of a sandbox, so that the next agent process finds it again. */
export interface SandboxRecord {
  id: string;
  networkId: string;
  size: SandboxSize;
  image: Image;
  cgroupsPath: string;
  volume: string;
  /** the volume is not the sandbox's own and stays */
  kept: boolean;
  /** of the process with which it lives */
  pid: number;
  /** start time of `pid` in clock ticks since boot, field 22 of /proc/<pid>/stat: tells a reused pid */
  startTime: string;
  /** what it may reach, where that is not the default */
  policy?: NetworkPolicy;
}

const pathIn = (dir: string) => join(dir, "sandbox.json");

/** Replaces the record in one step. */
export async function writeRecord(dir: string, record: SandboxRecord): Promise<void> {
  const path = pathIn(dir);
  await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Undefined where there is none: the sandbox was never whole. */
export async function readRecord<Record extends SandboxRecord>(dir: string): Promise<Record | undefined> {
  const text = await readFile(pathIn(dir), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Record);
}

export const isAlive = ({ pid, startTime }: Pick<SandboxRecord, "pid" | "startTime">): boolean =>
  startTime !== "" && statFields(pid).startTime === startTime;
