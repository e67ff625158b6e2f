import { availableParallelism, hostname, totalmem } from "node:os";
import { parseArgs } from "node:util";
import type { ObjectStoreOptions } from "@mags/storage";
import { z } from "zod";
import { AccessSettings, accessContradictions, accessOptions } from "./access-config.ts";
import { ClusterSettings, clusterOptions, settleCluster } from "./cluster-config.ts";
import { GatewaySettings, gatewayOptions, Listen, settleGateway } from "./gateway-config.ts";
import { ImageSettings, imageOptions } from "./image-config.ts";
import { QuotaSettings, quotaOptions } from "./quota-config.ts";
import { readStore, StoreSettings, storeOptions } from "./store-config.ts";
import { WorkspaceSettings, workspaceOptions } from "./workspace-config.ts";

interface Option {
  name: string;
  env: string;
  /** variables that other programs know it by, read in this order where it is not set */
  also?: readonly string[];
  help: string;
  /** what holds when it is not set, as people read it */
  default: string;
  unit?: string;
  secret?: boolean;
  /** the argument that says the same, and wins */
  flag?: string;
}

/** Every option of the daemon; `--help` and docs/config.md are printed from this list. */
export const options = [
  { name: "dataDir", env: "MAGS_DATA_DIR", default: "/var/lib/mags", help: "Directory of all state" },
  { name: "listen", env: "MAGS_LISTEN", default: "127.0.0.1:7070", help: "Address and port of the API" },
  {
    name: "databaseUrl",
    env: "DATABASE_URL",
    default: "embedded PostgreSQL",
    help: "PostgreSQL server (15 or newer) to use instead of the embedded one",
    secret: true,
  },
  {
    name: "roles",
    env: "MAGS_ROLES",
    default: "server,agent,gateway",
    help: "What this process is: any of server, agent and gateway",
    flag: "roles",
  },
  ...clusterOptions,
  {
    name: "runtime",
    env: "MAGS_RUNTIME",
    default: "auto",
    help: "What sandboxes are: container, qemu (virtual machines, emulated where the host has no KVM), or auto: qemu where KVM works",
  },
  {
    name: "ociRuntime",
    env: "MAGS_OCI_RUNTIME",
    default: "auto",
    help: "OCI runtime: auto (crun, else runc), or a name or path",
  },
  ...imageOptions,
  ...accessOptions,
  ...gatewayOptions,
  ...storeOptions,
  {
    name: "uploadMaxMb",
    env: "MAGS_UPLOAD_MAX_MB",
    default: "2048",
    unit: "MiB",
    help: "Largest file that can be uploaded",
  },
  {
    name: "uploadQuotaMb",
    env: "MAGS_UPLOAD_QUOTA_MB",
    default: "20480",
    unit: "MiB",
    help: "What the uploaded files of one organisation may have together",
  },
  {
    name: "uploadKeepHours",
    env: "MAGS_UPLOAD_KEEP_HOURS",
    default: "168",
    unit: "hours",
    help: "How long an uploaded file is kept after its upload and after each use",
  },
  ...workspaceOptions,
  ...quotaOptions,
  {
    name: "cronMinSeconds",
    env: "MAGS_CRON_MIN_SECONDS",
    default: "60",
    unit: "seconds",
    help: "Shortest time between two firings of a schedule",
  },
  {
    name: "rateLimit",
    env: "MAGS_RATE_LIMIT",
    default: "12000",
    unit: "requests a minute",
    help: "What one token may ask of one server; 0 is no limit",
  },
  {
    name: "metricsToken",
    env: "MAGS_METRICS_TOKEN",
    default: "none: a token with the scope operator is needed",
    help: "Token that opens /metrics and nothing else",
    secret: true,
  },
  {
    name: "corsOrigins",
    env: "MAGS_CORS_ORIGINS",
    default: "none",
    help: "Origins whose pages may call the API with a token, such as https://app.example.com; * is all",
  },
  {
    name: "egressAllow",
    env: "MAGS_EGRESS_ALLOW",
    default: "none",
    help: "Private addresses that sandboxes may reach, such as 10.0.0.5:443,10.1.0.0/16:80",
  },
  { name: "poolMin", env: "MAGS_POOL_MIN", default: "2", help: "Ready sandboxes kept at least" },
  {
    name: "poolMax",
    env: "MAGS_POOL_MAX",
    default: "8",
    help: "Ready sandboxes kept at most, when demand asks for them",
  },
  { name: "vcpus", env: "MAGS_VCPUS", default: "8 per core", unit: "cores", help: "CPU offered to jobs" },
  {
    name: "memoryMb",
    env: "MAGS_MEMORY_MB",
    default: "75 % of the machine's",
    unit: "MiB",
    help: "Memory offered to jobs",
  },
  {
    name: "logLimitBytes",
    env: "MAGS_LOG_LIMIT_BYTES",
    default: "16777216",
    unit: "bytes",
    help: "Output kept per job",
  },
  {
    name: "logDays",
    env: "MAGS_LOG_DAYS",
    default: "30",
    unit: "days",
    help: "How long logs are kept after the end of their job; 0 is for ever",
  },
  {
    name: "idleMinutes",
    env: "MAGS_IDLE_MINUTES",
    default: "10",
    help: "Minutes without use after which a persistent machine sleeps, where its job does not say",
  },
  {
    name: "busyCpuPercent",
    env: "MAGS_BUSY_CPU_PERCENT",
    default: "5",
    help: "Share of one CPU from which on the processes of an unused machine keep it awake; 0 switches that off",
  },
  {
    name: "busyWrittenKbS",
    env: "MAGS_BUSY_WRITTEN_KBS",
    default: "64",
    unit: "KiB/s",
    help: "The same for what they write to its disk",
  },
  {
    name: "logLevel",
    env: "MAGS_LOG_LEVEL",
    default: "warn",
    help: "Least level that is logged: trace, debug, info, warn, error, silent",
  },
] as const satisfies readonly Option[];

const VCPUS_PER_CORE = 8;
const MEMORY_SHARE = 0.75;

const count = (fallback: number) => z.coerce.number().int().min(0).default(fallback);

type Role = "server" | "agent" | "gateway";
const ROLES: Role[] = ["server", "agent", "gateway"];

const Roles = z
  .string()
  .transform((value) => value.split(",").map((role) => role.trim()))
  .pipe(z.array(z.enum(ROLES, "must be server, agent, gateway or several of them with commas")));

const Origins = z
  .string()
  .transform((value) => value.split(",").map((origin) => origin.trim()))
  .refine(
    (origins) => origins.every((origin) => origin === "*" || URL.parse(origin)?.origin === origin),
    "must be origins, such as https://app.example.com,http://localhost:3000, or *",
  );

const Runtime = z.enum(["auto", "container", "qemu"], "must be auto, container or qemu");

const Raw = z.object({
  dataDir: z.string().startsWith("/", "must be an absolute path").default("/var/lib/mags"),
  listen: Listen.prefault("127.0.0.1:7070"),
  databaseUrl: z
    .string()
    .regex(/^postgres(ql)?:\/\//, "must start with postgresql://")
    .optional(),
  nodeName: z.string().min(1).optional(),
  roles: Roles.optional(),
  ...ClusterSettings.shape,
  runtime: Runtime.default("auto"),
  ociRuntime: z.string().default("auto"),
  ...ImageSettings.shape,
  ...AccessSettings.shape,
  ...GatewaySettings.shape,
  ...StoreSettings.shape,
  uploadMaxMb: count(2048),
  uploadQuotaMb: count(20_480),
  uploadKeepHours: z.coerce.number().positive().default(168),
  cronMinSeconds: z.coerce.number().min(1).default(60),
  ...WorkspaceSettings.shape,
  ...QuotaSettings.shape,
  rateLimit: count(12_000),
  metricsToken: z.string().min(16, "must have at least 16 characters").optional(),
  corsOrigins: Origins.default([]),
  egressAllow: z.string().default(""),
  poolMin: count(2),
  poolMax: count(8),
  vcpus: z.coerce
    .number()
    .positive()
    .default(availableParallelism() * VCPUS_PER_CORE),
  memoryMb: z.coerce
    .number()
    .positive()
    .default(Math.floor((totalmem() / 1024 ** 2) * MEMORY_SHARE)),
  logLimitBytes: count(16 * 1024 * 1024),
  logDays: z.coerce.number().min(0).default(30),
  idleMinutes: z.coerce.number().positive().default(10),
  busyCpuPercent: z.coerce.number().min(0).default(5),
  busyWrittenKbS: z.coerce.number().min(0).default(64),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("warn"),
});

/** Settled options: nothing is left open. */
export type Config = Omit<z.infer<typeof Raw>, "imageDir" | "serverUrl" | keyof StoreSettings> &
  ReturnType<typeof settleGateway> &
  ReturnType<typeof settleCluster<Role>>["settled"] & {
    imageDir: string;
    store: ObjectStoreOptions;
  };

/**
 * Reads the options from `env`, and from `args` those that are arguments too. Throws one Error that lists every problem
 * with its variable.
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env, args: string[] = process.argv.slice(2)): Config {
  const flags = readArguments(args);
  const given = Object.fromEntries(
    options.map((option: Option) => {
      const variables = [option.env, ...(option.also ?? [])].map((name) => env[name]);
      return [option.name, [flags[option.flag ?? ""], ...variables].find(Boolean)];
    }),
  );
  const parsed = Raw.safeParse(given);
  const problems = (parsed.error?.issues ?? []).map((issue) => {
    const option = options.find(({ name }) => name === issue.path[0]);
    return `${option?.env}: ${issue.message}`;
  });
  const found = parsed.success ? readStore(parsed.data, parsed.data.dataDir) : undefined;
  const cluster = parsed.success ? settleCluster(parsed.data, { roles: ROLES, nodeName: hostname() }) : undefined;
  if (parsed.success && cluster)
    problems.push(...contradictions(parsed.data), ...cluster.problems, ...(found?.problems ?? []));
  if (!parsed.success || !cluster || !found?.store || problems.length > 0) {
    throw new Error(
      `these settings cannot be used:\n${problems.map((problem) => `  ${problem}\n`).join("")}See --help.`,
    );
  }
  const {
    store: _,
    s3Endpoint,
    s3Region,
    s3AccessKeyId,
    s3SecretAccessKey,
    s3PathStyle,
    serverUrl,
    ...config
  } = parsed.data;
  return {
    ...config,
    ...cluster.settled,
    ...settleGateway(config),
    imageDir: config.imageDir ?? `${config.dataDir}/images`,
    store: found.store,
  };
}

function readArguments(args: string[]): Record<string, string | undefined> {
  const flags = options.flatMap((option: Option) => (option.flag ? [[option.flag, { type: "string" }] as const] : []));
  try {
    return parseArgs({ args, options: Object.fromEntries(flags) }).values;
  } catch (cause) {
    throw new Error(`${(cause as Error).message}; settings are environment variables, see --help`, { cause });
  }
}

/** What is wrong between options that are right by themselves. */
function contradictions(settings: z.infer<typeof Raw>): string[] {
  const { poolMin, poolMax } = settings;
  const problems = accessContradictions(settings);
  if (poolMax < poolMin) problems.push(`MAGS_POOL_MAX: is ${poolMax}, less than MAGS_POOL_MIN, which is ${poolMin}`);
  return problems;
}

/** The table of options as Markdown, the body of docs/config.md. */
export function optionTable(): string {
  const rows = options.map((option: Option) => {
    const unit = option.unit ? `, ${option.unit}` : "";
    const also = option.also ? `; also read from ${option.also.map((name) => `\`${name}\``).join(", ")}` : "";
    const flag = option.flag ? `, or \`--${option.flag}\`` : "";
    return `| \`${option.env}\` | ${option.default} | ${option.help}${unit}${flag}${also}${option.secret ? " (secret)" : ""} |`;
  });
  return ["| variable | default | meaning |", "| --- | --- | --- |", ...rows, ""].join("\n");
}

/** Text of `--help`. */
export function help(): string {
  const width = Math.max(...options.map(({ env }) => env.length)) + 2;
  const rows = options.map((option: Option) => {
    const notes = [
      `default: ${option.default}`,
      option.unit,
      option.flag && `or --${option.flag}`,
      option.also && `also: ${option.also.join(", ")}`,
      option.secret && "secret",
    ];
    return `  ${option.env.padEnd(width)}${option.help} (${notes.filter(Boolean).join("; ")})`;
  });
  return `magsd: the Mags server and node in one process

Settings are environment variables:
${rows.join("\n")}

The first Ctrl-C or SIGTERM stops it in order, with exit code 0; running jobs go on and the next start takes them up.
A second one ends it at once, with exit code 130 or 143.
`;
}
