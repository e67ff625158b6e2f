import { globSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { run, spawn } from "@mags/kit";
import type { Mags } from "@mags/sdk";
import { quantile } from "./stats.ts";

/** Ports inside of the sandbox: of the server, and of nginx in the sandbox's network namespace. */
const SERVER_PORT = 8080;
const NGINX_PORT = 18080;
const CONNECTIONS = 32;
/** A round of each, in turns, `seconds` */
const ROUND_SECONDS = 3;
const MISSING = "it needs nginx and wrk: apt-get install nginx-light wrk";

/** A small answer, as fast as the sandbox can give it: what is measured is the way there. */
const SERVER = `cat > app.js <<'END'
const body = "x".repeat(1024);
require("http").createServer((req, res) => res.end(body)).listen(${SERVER_PORT});
END
exec node app.js`;

interface Way {
  name: string;
  /** command that enters the network where `url` is to be reached */
  enter: string[];
  url: string;
  host: string;
}

interface Measured {
  /** requests a second with many connections */
  rate: number;
  /** of one request at a time, `ms` */
  p50: number;
  p99: number;
}

export interface IngressReport {
  results: Record<string, Measured>;
  added: Record<string, { p50: number; p99: number }>;
  ratio: number;
}

/**
 * Requests to one server in one sandbox: directly, through nginx, and through the gateway, in turns. nginx stands in the
 * sandbox's own network namespace, because the firewall lets the host no other way in than the agent's.
 */
export async function benchIngress(mags: Mags, rounds: number): Promise<IngressReport> {
  for (const program of ["nginx", "wrk"])
    await run("sh", ["-c", `command -v ${program}`]).catch((cause) => {
      throw new Error(MISSING, { cause });
    });
  const { requestId } = await mags.run(SERVER, { persistent: true });
  const dir = await mkdtemp("/run/mags-bench-");
  try {
    const { url } = (await mags.access.url(requestId, SERVER_PORT)) as { url: string };
    const { host, port } = new URL(url);
    await reachable(url);
    const { vm_id } = await mags.status(requestId);
    const enter = ["nsenter", `--net=/proc/${await processOf(vm_id ?? "")}/ns/net`];
    const { nginx } = await startNginx(dir, enter);
    const ways: Way[] = [
      { name: "directly", enter, url: `http://127.0.0.1:${SERVER_PORT}/`, host },
      { name: "nginx", enter, url: `http://127.0.0.1:${NGINX_PORT}/`, host },
      { name: "mags", enter: [], url: `http://127.0.0.1:${port}/`, host },
    ];
    try {
      return summary(await inTurns(ways, rounds));
    } finally {
      nginx.kill("SIGQUIT");
      await nginx;
    }
  } finally {
    await mags.stop(requestId);
    await rm(dir, { recursive: true, force: true });
  }
}

async function reachable(url: string): Promise<void> {
  const { host, port } = new URL(url);
  for (let tries = 0; tries < 100; tries++) {
    if ((await wrk({ name: "", enter: [], url: `http://127.0.0.1:${port}/`, host }, 1, 1)).rate > 0) return;
    await delay(200);
  }
  throw new Error(`${url} does not answer`);
}

async function processOf(machine: string): Promise<string> {
  const [file = ""] = globSync(`/run/mags/*/sandboxes/${machine}/pid`);
  return (await readFile(file, "utf8")).trim();
}

async function startNginx(dir: string, enter: string[]) {
  const config = `
    daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
    events { worker_connections 1024; }
    http {
      access_log off;
      client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fastcgi;
      uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
      upstream sandbox { server 127.0.0.1:${SERVER_PORT}; keepalive 64; }
      server {
        listen 127.0.0.1:${NGINX_PORT};
        keepalive_requests 1000000;
        location / {
          proxy_pass http://sandbox; proxy_http_version 1.1;
          proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
        }
      }
    }`;
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "nginx.conf"), config);
  const [program = "nginx", ...args] = [...enter, "nginx", "-c", join(dir, "nginx.conf"), "-p", dir];
  const nginx = spawn(program, args, { reject: false, stdio: "ignore" });
  await delay(500);
  // Wrapped, because a child is itself a promise of its end.
  return { nginx };
}

async function inTurns(ways: Way[], rounds: number): Promise<Map<string, Measured[]>> {
  const measured = new Map(ways.map(({ name }) => [name, [] as Measured[]]));
  for (const way of ways) await wrk(way, CONNECTIONS, 1);
  for (let round = 0; round < rounds; round++) {
    for (const way of ways) {
      const { rate } = await wrk(way, CONNECTIONS, ROUND_SECONDS);
      const { p50, p99 } = await wrk(way, 1, ROUND_SECONDS);
      measured.get(way.name)?.push({ rate, p50, p99 });
    }
  }
  return measured;
}

/** One run of wrk; answers zeros where nothing was answered with 200. */
async function wrk({ enter, url, host }: Way, connections: number, seconds: number): Promise<Measured> {
  const [program = "", ...args] = [
    ...enter,
    ...["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--latency", "-H", `Host: ${host}`, url],
  ];
  const text = await run(program, args).catch(() => "");
  if (/Non-2xx|Socket errors/.test(text)) return { rate: 0, p50: 0, p99: 0 };
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1] ?? 0);
  return { rate, p50: milliseconds(text, 50), p99: milliseconds(text, 99) };
}

function milliseconds(text: string, percent: number): number {
  const [, value, unit = "ms"] = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(text) ?? [];
  return Number(value) * ({ us: 0.001, ms: 1, s: 1000 }[unit] ?? Number.NaN);
}

function summary(measured: Map<string, Measured[]>): IngressReport {
  const middle = (list: Measured[], key: keyof Measured) =>
    quantile(
      list.map((each) => each[key]),
      0.5,
    );
  const results = Object.fromEntries(
    [...measured].map(([name, list]) => [
      name,
      { rate: middle(list, "rate"), p50: middle(list, "p50"), p99: middle(list, "p99") },
    ]),
  );
  const of = (name: string) => results[name] as Measured;
  const added = (name: string) => ({
    p50: of(name).p50 - of("directly").p50,
    p99: of(name).p99 - of("directly").p99,
  });
  return {
    results,
    added: { nginx: added("nginx"), mags: added("mags") },
    ratio: of("mags").rate / of("nginx").rate,
  };
}

/** Aim: at least half of nginx's rate. */
export function printIngress({ results, added, ratio }: IngressReport): void {
  const ms = (value: number) => `${value.toFixed(2)} ms`.padStart(9);
  for (const [name, { rate, p50, p99 }] of Object.entries(results)) {
    const more = added[name] ? `  added p50${ms(added[name].p50)}  p99${ms(added[name].p99)}` : "";
    process.stdout.write(
      `${name.padEnd(10)} ${rate.toFixed(0).padStart(7)} requests/s  p50${ms(p50)}  p99${ms(p99)}${more}\n`,
    );
  }
  process.stdout.write(`mags / nginx, requests/s   ${ratio.toFixed(2)}  (aim: at least 0.5)\n`);
}
