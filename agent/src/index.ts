import { createHash, randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Cleanup, type Credentials, type Logger, type UpstreamOptions } from "@mags/kit";
import { jobLimits } from "@mags/protocol";
import { type ObjectStore, ReflinkStore, Templates } from "@mags/storage";
import { startApi } from "./api.ts";
import { Audit } from "./audit/audit.ts";
import { ControlPlane } from "./control-plane.ts";
import { NodeDrivers, type Runtime } from "./drivers/index.ts";
import { Images, type Registry } from "./images/index.ts";
import { noteBoot, rebooted } from "./jobs/boot.ts";
import type { BusyLimits } from "./jobs/idleness.ts";
import { Metrics } from "./jobs/metrics.ts";
import { JobNode } from "./jobs/node.ts";
import { JobRecords } from "./jobs/record.ts";
import { SuspendedMachines } from "./jobs/suspended.ts";
import { TrafficReports } from "./jobs/traffic.ts";
import { LogKeeper } from "./logs/index.ts";
import { Network, parseEgressAllow } from "./network/index.ts";
import { Pool } from "./pool/pool.ts";
import { Workspaces } from "./workspaces/index.ts";

export { parseRegistries } from "./images/index.ts";

export interface AgentOptions {
  /** state of this machine lives below it */
  dataDir: string;
  server: UpstreamOptions;
  /** token of programs on this machine */
  nodeToken: string;
  /** where server and gateway reach this agent: on loopback, or with credentials from other machines */
  listen: { host: string; port: number };
  credentials?: Credentials | undefined;
  labels: Record<string, string>;
  nodeName: string;
  /** directory with one folder per image */
  imageDir: string;
  /** what sandboxes are */
  runtime: Runtime;
  /** what images may be pulled from, and the most that one may take, `MiB` */
  registries: readonly Registry[];
  imageMaxMb: number;
  /** where Alpine comes from */
  alpineMirror: string;
  /** `auto`, or name or path of an OCI runtime */
  ociRuntime: string;
  /** private addresses that sandboxes may reach: `address:port,…`, empty for none */
  egressAllow: string;
  /** capacity offered, `cores` and `MiB` */
  vcpus: number;
  memoryMb: number;
  pool: { min: number; max: number };
  /** output kept per job, `bytes` */
  logLimitBytes: number;
  /** from how much on the processes of an unvisited machine count as work */
  busy: BusyLimits;
  /** given to a gateway in this process as well, which is then handed connections themselves */
  processSecret: string | undefined;
  /** where versions of workspaces are kept; stays open longer than the agent */
  objects: ObjectStore;
  logger: Logger;
}

export interface Agent {
  /** what sandboxes are here, and why */
  readonly sandboxes: string;
  /** jobs on this node now */
  running(): number;
  /** Lets running jobs be: the next agent process on this data directory takes them up. */
  close(): Promise<void>;
}

/** Starts a node: it takes up what an earlier process left, then claims work. Throws when no sandbox can be made here. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const cleanup = new Cleanup();
  const { dataDir, objects, logger } = options;
  const instance = createHash("sha256").update(dataDir).digest("hex").slice(0, 8);
  const agentDir = join(dataDir, "agent");
  await mkdir(agentDir, { recursive: true, mode: 0o700 });
  const records = new JobRecords(join(agentDir, "jobs"));
  let node: JobNode | undefined;
  const images = await Images.open({
    dir: options.imageDir,
    registries: options.registries,
    mostMb: options.imageMaxMb,
    alpineMirror: options.alpineMirror,
    inUse: (image) => node?.machinesOn(image) ?? 0,
    changed: () => void node?.announce(),
    logger,
  });
  cleanup.add("images", () => images.close());
  const network = await Network.open({ logger, instance, allow: parseEgressAllow(options.egressAllow) });
  cleanup.add("network", () => network.close());
  const store = await ReflinkStore.open({ dir: join(agentDir, "store"), logger });
  cleanup.add("store of volumes", () => store.close());
  const templates = new Templates(store);
  const identity = { node: options.nodeName, boot_id: randomUUID() };
  const controlPlane = new ControlPlane(options.server, identity);
  const workspaces = await Workspaces.open({
    store,
    templates,
    objects: options.objects,
    images,
    controlPlane,
    logger,
  });
  cleanup.add("workspaces", () => workspaces.close());
  const drivers = await NodeDrivers.open({
    runtime: options.runtime,
    imageDir: options.imageDir,
    runDir: join("/run/mags", instance),
    store,
    volumeDir: join(store.path, "machines"),
    instance,
    ociRuntime: options.ociRuntime,
    network,
    volumes: templates,
    logger,
  });
  cleanup.add("drivers", () => drivers.close());
  logger.info(drivers.runtimes, "what sandboxes are here");
  let pool: Pool | undefined;
  let audit: Audit | undefined;
  const { nodeToken, processSecret, listen, credentials } = options;
  const metrics = new Metrics(() => node?.jobs ?? []);
  cleanup.add("metrics", () => metrics.close());
  const traffic = new TrafficReports({
    jobs: () => node?.jobs ?? [],
    tell: (machines) => controlPlane.reportTraffic(machines),
    logger,
  });
  cleanup.add("counts of traffic", () => traffic.close());
  const api = await startApi({
    space: () => store.space(),
    node: () => node,
    pool: () => pool,
    runtimes: drivers.runtimes,
    audit: () => audit,
    metrics,
    images,
    workspaces,
    records,
    nodeToken,
    processSecret,
    listen,
    credentials,
    logger,
  });
  cleanup.add("agent API", () => api.close());
  const keeper = new LogKeeper({ objects, records, logger });
  cleanup.add("copies of logs", () => keeper.close());
  node = new JobNode({
    vcpus: options.vcpus,
    memoryMb: options.memoryMb,
    address: api.address,
    labels: options.labels,
    onRemoved: (ids) => api.refuse(ids),
    images,
    rebooted: await rebooted(agentDir),
    controlPlane,
    drivers,
    records,
    keeper,
    logger,
  });
  const size = { vcpus: jobLimits.vcpusDefault, memoryMb: jobLimits.memoryMbDefault, diskGb: jobLimits.diskGbDefault };
  pool = new Pool({ usual: { driver: drivers.default, image: images.default, size }, ...options.pool, logger });
  const started = node;
  cleanup.add("pool", () => pool?.close());
  cleanup.add("node", () => started.close());
  const { nodeName, logLimitBytes, busy } = options;
  const suspended = new SuspendedMachines(store, logger);
  await node.start({
    ...{ node: nodeName, drivers, images, pool, workspaces, suspended, traffic },
    ...{ objects, records, logLimitBytes, busy, logger },
  });
  // Not before the jobs of before it are known for what they are.
  await noteBoot(agentDir).catch((err) => logger.warn({ err }, "the boot of the machine was not noted"));
  audit = new Audit({ drivers: drivers.all, network, workspaces, records, store, node: () => node, logger });
  const audited = audit;
  cleanup.add("looking for leftovers", () => audited.close());
  audit.start();
  return { sandboxes: drivers.because, running: () => started.running, close: () => cleanup.run() };
}
