import type { FastifyReply, FastifyRequest } from "fastify";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

const REQUEST_SECONDS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const START_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const LATENESS_SECONDS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30, 60];
const SYNC_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** What this process has seen since it started, for Prometheus. What the database knows is added by `Overview` at each scrape. */
export class Metrics {
  readonly registry = new Registry();

  readonly queueWait = this.#histogram(
    "mags_job_queue_seconds",
    "From POST to the node that took the job",
    START_SECONDS,
  );
  readonly startLatency = this.#histogram("mags_job_start_seconds", "From POST to a running script", START_SECONDS);
  readonly jobsEnded = this.#counter("mags_jobs_ended_total", "Jobs that reached a final state", ["status", "reason"]);
  readonly leasesLost = this.#counter("mags_leases_lost_total", "Jobs whose node did not renew its lease", ["action"]);
  readonly syncs = this.#histogram("mags_workspace_sync_seconds", "Time that a new version took", SYNC_SECONDS);
  readonly syncedBytes = this.#counter("mags_workspace_synced_bytes_total", "Bytes that versions added to the store");
  readonly syncFailures = this.#counter(
    "mags_workspace_sync_failures_total",
    "Times that a workspace could not be made durable; tries again with the same error count once",
  );
  readonly cronLateness = this.#histogram(
    "mags_cron_lateness_seconds",
    "From the time of a schedule to the job that it made; not of times that were missed while no server was there",
    LATENESS_SECONDS,
  );
  readonly #requests = new Histogram({
    name: "mags_http_request_seconds",
    help: "Time to answer a request of the API; streams and long polls until they end",
    labelNames: ["method", "route", "status"],
    buckets: REQUEST_SECONDS,
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Counts a request by its route, never by its path: ids would make a series each. */
  answered({ method, routeOptions }: FastifyRequest, { statusCode, elapsedTime }: FastifyReply): void {
    this.#requests.labels(method, routeOptions.url ?? "none", String(statusCode)).observe(elapsedTime / 1000);
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name, help, buckets, registers: [this.registry] });
  }

  #counter<T extends string>(name: string, help: string, labelNames: T[] = []): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}

/** A gauge that is set anew at each scrape. */
export const gauge = <T extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: T[] = [],
): Gauge<T> => new Gauge({ name, help, labelNames, registers: [registry] });
