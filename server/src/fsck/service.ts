import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import { type Difference, type FsckReport, NodeAudit, type Trace } from "@mags/protocol";
import { manifestKey, type ObjectStore } from "@mags/storage";
import type { Database } from "../db/database.ts";
import type { Nodes } from "../nodes/service.ts";
import { type Collector, readManifest } from "../workspaces/service.ts";
import { type Found, inBoth, inLedger, inStore, isGone, type Mend, mends, type NodeLook, onNodes } from "./decide.ts";
import { inUploads, readFiles } from "./files.ts";
import { knownJobs, type LedgerFacts, markLost, readLedger, readObjects, releaseHolder, setLatest } from "./store.ts";

/** Longer than a sandbox takes to come or go, `ms`: what both looks see is no passing state. */
const BETWEEN_LOOKS_MS = 4000;
const AGENT_DEADLINE_MS = 20_000;
const ASK_AGAIN_MS = 1000;
const READY_SECONDS = 15;
/** Most differences of a kind that are listed. */
const MOST = 1000;

interface Needs {
  db: Database;
  nodes: Nodes;
  collector: Collector;
  objects: ObjectStore;
  /** how long a claimed chunk waits for its version, `ms` */
  graceMs: number;
  logger: Logger;
}

interface Look {
  found: Found[];
  looked_at: FsckReport["looked_at"];
}

/** Compares the ledger with itself, the machines and the object store. */
export class Fsck {
  readonly #needs: Needs;

  constructor(needs: Needs) {
    this.#needs = needs;
  }

  /** Two looks; with `repair` what both have seen is mended, and a third tells what that has brought. */
  async run(repair: boolean, signal: AbortSignal): Promise<FsckReport> {
    const started = performance.now();
    let look = await this.#look(signal);
    if (look.found.length > 0) {
      await delay(BETWEEN_LOOKS_MS, undefined, { signal });
      const second = await this.#look(signal);
      look = { ...second, found: inBoth(look.found, second.found) };
    }
    let differences = look.found.map((found) => shown(found, null));
    if (repair && look.found.length > 0) {
      await this.#mend(look.found, signal);
      const { found: after } = await this.#look(signal);
      differences = look.found.map((found) => shown(found, isGone(found, after)));
    }
    const clean = differences.every(({ repaired }) => repaired === true);
    return { clean, looked_at: look.looked_at, differences, took_ms: performance.now() - started };
  }

  async #look(signal: AbortSignal): Promise<Look> {
    const { db } = this.#needs;
    // Machines before the ledger: a job that begins meanwhile is in the ledger for sure.
    const names = (await readLedger(db)).nodes;
    const looks = await Promise.all(names.map((node) => this.#ask(node, signal)));
    const audits = looks.flatMap((look) => ("audit" in look ? [look.audit] : []));
    const traces = audits.flatMap((audit) => audit.traces);
    const known = await knownJobs(db, uuids(traces));
    const ledger = await readLedger(db);
    const store = await this.#store(signal);
    return {
      found: [...inLedger(ledger), ...onNodes(ledger, looks, known), ...store.found],
      looked_at: {
        nodes: audits.length,
        jobs: ledger.held.length,
        workspaces: ledger.workspaces.length,
        traces: traces.length,
        objects: store.objects,
      },
    };
  }

  /** One that fails to answer is asked a second time: with no answer nothing can be said of it. */
  async #ask({ name, silentSeconds }: LedgerFacts["nodes"][number], signal: AbortSignal): Promise<NodeLook> {
    if (silentSeconds > READY_SECONDS)
      return { name, silent: `nothing was heard of it for ${Math.round(silentSeconds)} s` };
    const audit = () => this.#fetch(name, "audit", {});
    try {
      const answer = await audit().catch(() => delay(ASK_AGAIN_MS, undefined, { signal }).then(audit));
      return { name, audit: NodeAudit.parse(answer) };
    } catch (error) {
      signal.throwIfAborted();
      return { name, silent: (error as Error).message };
    }
  }

  async #store(signal: AbortSignal): Promise<{ found: Found[]; objects: number }> {
    const { db, objects, graceMs } = this.#needs;
    const { rows } = await db.query<{ id: string }>("SELECT id FROM organisations ORDER BY id");
    const found: Found[] = [];
    let count = 0;
    for (const { id: org } of rows) {
      const cutoff = new Date(Date.now() - graceMs);
      const listed = await this.#list([`orgs/${org}/chunks/`, `orgs/${org}/manifests/`], signal);
      const uploaded = await this.#list([`orgs/${org}/files/`], signal);
      count += listed.size + uploaded.size;
      const disagree = [
        ...inStore(org, await readObjects(db, org), listed, cutoff).slice(0, MOST),
        ...inUploads(org, await readFiles(db, org), uploaded, cutoff).slice(0, MOST),
      ];
      // What was stored after the listing is there all the same.
      for (const each of disagree)
        if (each.kind !== "object_missing" || !(await objects.has(each.what))) found.push(each);
    }
    return { found, objects: count };
  }

  async #list(prefixes: string[], signal: AbortSignal): Promise<Map<string, Date>> {
    const listed = new Map<string, Date>();
    for (const prefix of prefixes)
      for await (const { key, modified } of this.#needs.objects.list(prefix)) {
        signal.throwIfAborted();
        listed.set(key, modified);
      }
    return listed;
  }

  async #mend(found: Found[], signal: AbortSignal): Promise<void> {
    for (const mend of mends(found))
      await this.#one(mend, signal).catch((err) =>
        this.#needs.logger.warn({ err: err.message, repair: mend.do }, "a difference could not be repaired"),
      );
  }

  async #one(mend: Mend, signal: AbortSignal): Promise<void> {
    const { db, collector, objects } = this.#needs;
    switch (mend.do) {
      case "remove_trace":
        return this.#tell(mend.node, "audit/remove", mend.trace);
      case "report_copies":
        return this.#tell(mend.node, "audit/copies", {});
      case "release":
        return releaseHolder(db, mend.workspace, mend.holder);
      case "set_latest":
        return setLatest(db, mend.workspace, mend.version);
      case "sweep_abandoned":
        return void (await collector.collect(mend.org, signal));
      case "upload_again":
        return markLost(db, mend.org, mend.object);
      case "delete_object":
        return void (await objects.delete([mend.key]));
      case "put_manifest": {
        const file = await readManifest(db, mend.org, mend.name);
        if (file) await objects.put(manifestKey(mend.org, mend.name), file);
        return;
      }
      case "condemn":
        return collector.removeStrays(mend.org, mend.objects, signal);
    }
  }

  async #tell(node: string, path: string, body: object): Promise<void> {
    const headers = { "content-type": "application/json" };
    await this.#fetch(node, path, { method: "POST", body: JSON.stringify(body), headers });
  }

  async #fetch(node: string, path: string, init: RequestInit): Promise<unknown> {
    const signal = AbortSignal.timeout(AGENT_DEADLINE_MS);
    const response = await this.#needs.nodes.agentFetch(node, `/agent/v1/${path}`, { ...init, signal });
    const text = await response.text();
    if (!response.ok) throw new Error(`node ${node} answers ${response.status}: ${text.slice(0, 200)}`);
    return JSON.parse(text);
  }
}

const shown = ({ mend: _, ...found }: Found, repaired: boolean | null): Difference => ({ ...found, repaired });

const UUID = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

const uuids = (traces: Trace[]): string[] =>
  traces.filter(({ kind, name }) => kind === "job_directory" && UUID.test(name)).map(({ name }) => name);
