import type { ObjectStore } from "@mags/storage";
import type { BusyLimits } from "./idleness.ts";
import type { Machine, MachineContext } from "./machine.ts";
import type { JobRecord, JobRecords } from "./record.ts";

/** What jobs on this node share. */
export interface JobContext extends MachineContext {
  node: string;
  records: JobRecords;
  objects: ObjectStore;
  logLimitBytes: number;
  busy: BusyLimits;
  /** the agent closes: what runs is left to the next one */
  closing: AbortSignal;
  /** another job on this node */
  job(id: string): { machine: Machine | undefined } | undefined;
  /** Delivers a report for as long as it takes; resolves to false when the job is another attempt's. */
  report(event: "started" | "script_ended" | "finished", record: JobRecord): Promise<boolean>;
  /** Tells that its machine is put away, for as long as that takes. */
  slept(record: JobRecord, because: string): Promise<void>;
  /** Gives a job back that has not begun; delivers that for as long as it takes. */
  giveBack(record: JobRecord, message: string): Promise<void>;
}
