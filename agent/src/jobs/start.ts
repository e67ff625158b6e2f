import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import { type RanBy, scriptSeconds } from "@mags/protocol";
import type { ObjectStore } from "@mags/storage";
import { placeFiles } from "../files/place.ts";
import type { LogCapture } from "../logs/index.ts";
import type { Driver, RunningCommand, Sandbox } from "../sandbox/driver.ts";
import type { JobRecord, JobRecords } from "./record.ts";

/** Variables of every script, under those of its image and its job; the user's own come from the driver. */
export const BASE_ENVIRONMENT = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LANG: "C.UTF-8",
};

export interface Start {
  node: string;
  driver: Driver;
  records: JobRecords;
  record: JobRecord;
  objects: ObjectStore;
  sandbox: Sandbox;
  log: LogCapture;
  /** it runs in the machine of another job, which has a script there, too */
  guest: boolean;
  /** what ran before the sleep goes on */
  resumed: boolean;
  /** gives up */
  signal: AbortSignal;
}

/**
 * Starts what a job has to run: its script, when its uploaded files are there, or after a sleep its startup command, if it has
 * one. Written down before: what may have run is never run again.
 */
export async function start(options: Start): Promise<RunningCommand | undefined> {
  const { record, records, objects, sandbox, log, signal } = options;
  const { id, org, spec, secrets, wake } = record.assignment;
  const { config } = sandbox.image;
  if (!wake) await placeFiles({ sandbox, objects, org, job: id, ids: spec.file_ids, signal });
  const scriptName = options.guest ? `script-${id}` : "script";
  const woken = options.resumed ? undefined : spec.startup_command;
  const text = wake ? woken : spec.script;
  const token = text === undefined ? null : randomUUID();
  if (text !== undefined) await sandbox.place(scriptName, text);
  Object.assign(record, {
    phase: "started",
    token,
    sandbox: sandbox.id,
    ran_by: ranBy(options),
    started_at: Date.now(),
  });
  records.write(record);
  if (token === null) return undefined;
  const directory = records.runDirectory(record.assignment);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return sandbox.exec({
    directory,
    argv: [...(spec.entrypoint ? config.entrypoint : []), "/bin/sh", `/run/mags/${scriptName}`],
    env: {
      ...BASE_ENVIRONMENT,
      ...config.env,
      HOSTNAME: sandbox.id,
      MAGS_JOB_ID: id,
      ...spec.environment,
      ...secrets,
    },
    cwd: config.workdir ?? undefined,
    user: config.user ?? undefined,
    token,
    lingers: spec.persistent && !options.guest,
    outlives: spec.sleep === "suspend" && !options.guest,
    stdoutFifo: log.stdoutFifo,
    stderrFifo: log.stderrFifo,
  });
}

function ranBy({ node, driver, sandbox, record }: Start): RanBy {
  const { vcpus, memory_mb, disk_gb } = record.assignment.spec;
  const timeout = scriptSeconds(record.assignment.spec);
  return {
    node,
    ...driver.facts,
    image: sandbox.image.name,
    image_digest: sandbox.image.digest,
    limits: { vcpus, memory_mb, disk_gb, pids: driver.pidsLimit, timeout },
    machine: sandbox.id,
  };
}
