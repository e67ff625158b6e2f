import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "@mags/kit";
import type { NodeAudit, Trace } from "@mags/protocol";
import { type ReflinkStore, SCRATCH } from "@mags/storage";
import { MAKING, SAVED_MACHINES } from "../drivers/qemu/saved.ts";
import type { JobNode } from "../jobs/node.ts";
import type { JobRecords } from "../jobs/record.ts";
import type { Network } from "../network/index.ts";
import type { Driver } from "../sandbox/driver.ts";
import type { Workspaces } from "../workspaces/index.ts";
import { reap } from "./reap.ts";

/** How often leftovers are looked for, `ms`. */
const ROUND_MS = 60_000;
/** No export or import takes longer, `ms`. */
const SCRATCH_MS = 24 * 3600_000;

export interface AuditOptions {
  drivers: readonly Driver[];
  network: Network;
  workspaces: Workspaces;
  records: JobRecords;
  store: ReflinkStore;
  node: () => JobNode | undefined;
  logger: Logger;
}

/**
 * Says what of Mags is on this machine, and takes away what nothing has that lives. Each minute it does so by itself with what
 * two looks have found: one alone may meet a sandbox that is just being made or removed.
 */
export class Audit {
  readonly #options: AuditOptions;
  readonly #closing = new AbortController();
  #rounds: Promise<void> = Promise.resolve();

  constructor(options: AuditOptions) {
    this.#options = options;
  }

  start(): void {
    const { logger } = this.#options;
    this.#rounds = reap(
      { traces: () => this.#traces(), remove: (trace) => this.remove(trace) },
      { roundMs: ROUND_MS, signal: this.#closing.signal, logger },
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#rounds;
  }

  async look(): Promise<NodeAudit> {
    const { node, records, workspaces, network } = this.#options;
    // Nothing of one that has ended runs any more, whatever is still to be taken away.
    const jobs = [...(node()?.jobs ?? [])].map(({ id, attempt, phase }) => {
      return { id, attempt, ended: phase === "ended" || phase === "reported" };
    });
    const kept = (await records.ids()).filter((id) => node()?.job(id) === undefined);
    const directories = kept.map((name): Trace => ({ kind: "job_directory", name, held: null }));
    const missing = await network.missingTables();
    return {
      jobs,
      traces: [...(await this.#traces()), ...directories],
      copies: workspaces.copies(),
      missing_rules: missing.map((table) => `table inet ${table}`),
    };
  }

  /** Takes a trace away, unless something that lives has it. */
  async remove({ kind, name }: Pick<Trace, "kind" | "name">): Promise<void> {
    const { drivers, records, node } = this.#options;
    if (kind === "job_directory") {
      if ((await records.ids()).includes(name) && node()?.job(name) === undefined) await records.remove(name);
    } else if (kind === "scratch") await this.#removeScratch(name);
    else for (const driver of drivers) await driver.removeTrace?.({ kind, name });
  }

  async #traces(): Promise<Trace[]> {
    const all = await Promise.all(this.#options.drivers.map((driver) => driver.traces?.() ?? []));
    return [...all.flat(), ...(await this.#scratch())];
  }

  async #scratch(): Promise<Trace[]> {
    const { path } = this.#options.store;
    const inDirectory = (await readdir(join(path, "scratch")).catch(() => [])).map((name) => join("scratch", name));
    const halfSaved = (await readdir(join(path, SAVED_MACHINES)).catch(() => []))
      .filter((name) => name.startsWith(MAKING))
      .map((name) => join(SAVED_MACHINES, name));
    const beside = (await readdir(path)).filter((name) => name.startsWith(SCRATCH));
    return Promise.all(
      [...inDirectory, ...halfSaved, ...beside].map(async (name): Promise<Trace> => {
        const { mtimeMs } = await stat(join(path, name)).catch(() => ({ mtimeMs: Date.now() }));
        return { kind: "scratch", name, held: Date.now() - mtimeMs < SCRATCH_MS };
      }),
    );
  }

  async #removeScratch(name: string): Promise<void> {
    const found = (await this.#scratch()).find((trace) => trace.name === name);
    if (found?.held === false) await rm(join(this.#options.store.path, name), { recursive: true, force: true });
  }
}
