import { availableParallelism, hostname, totalmem } from "node:os";
import { z } from "zod";

interface Option {
  name: string;
  env: string;
  help: string;
  /** what holds when it is not set, as people read it */
  default: string;
  unit?: string;
  secret?: boolean;
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
  { name: "nodeName", env: "MAGS_NODE_NAME", default: "the host's name", help: "Name of this machine among the nodes" },
  { name: "runtime", env: "MAGS_RUNTIME", default: "auto", help: "What isolates sandboxes: auto or container" },
  {
    name: "ociRuntime",
    env: "MAGS_OCI_RUNTIME",
    default: "auto",
    help: "OCI runtime: auto (crun, else runc), or a name or path",
  },
  { name: "imageDir", env: "MAGS_IMAGE_DIR", default: "<data directory>/images", help: "Directory of the images" },
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
    name: "logLevel",
    env: "MAGS_LOG_LEVEL",
    default: "warn",
    help: "Least level that is logged: trace, debug, info, warn, error, silent",
  },
] as const satisfies readonly Option[];

const VCPUS_PER_CORE = 8;
const MEMORY_SHARE = 0.75;

const Listen = z
  .string()
  .regex(/^.+:\d{1,5}$/, "must be host:port, such as 127.0.0.1:7070")
  .transform((value) => {
    const colon = value.lastIndexOf(":");
    return { host: value.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(value.slice(colon + 1)) };
  });

const count = (fallback: number) => z.coerce.number().int().min(0).default(fallback);

const Raw = z.object({
  dataDir: z.string().startsWith("/", "must be an absolute path").default("/var/lib/mags"),
  listen: Listen.prefault("127.0.0.1:7070"),
  databaseUrl: z
    .string()
    .regex(/^postgres(ql)?:\/\//, "must start with postgresql://")
    .optional(),
  nodeName: z.string().min(1).default(hostname()),
  runtime: z.enum(["auto", "container"]).default("auto"),
  ociRuntime: z.string().default("auto"),
  imageDir: z.string().startsWith("/", "must be an absolute path").optional(),
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
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("warn"),
});

/** Settled options: nothing is left open. */
export type Config = Omit<z.infer<typeof Raw>, "imageDir"> & { imageDir: string };

/** Reads the options from `env`. Throws one Error that lists every problem with its variable. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const given = Object.fromEntries(options.map(({ name, env: key }) => [name, env[key] || undefined]));
  const parsed = Raw.safeParse(given);
  if (parsed.success) return { ...parsed.data, imageDir: parsed.data.imageDir ?? `${parsed.data.dataDir}/images` };
  const problems = parsed.error.issues.map((issue) => {
    const option = options.find(({ name }) => name === issue.path[0]);
    return `  ${option?.env}: ${issue.message}`;
  });
  throw new Error(`these settings cannot be used:\n${problems.join("\n")}`);
}

/** The table of options as Markdown, the body of docs/config.md. */
export function optionTable(): string {
  const rows = options.map((option: Option) => {
    const unit = option.unit ? `, ${option.unit}` : "";
    return `| \`${option.env}\` | ${option.default} | ${option.help}${unit}${option.secret ? " (secret)" : ""} |`;
  });
  return ["| variable | default | meaning |", "| --- | --- | --- |", ...rows, ""].join("\n");
}

/** Text of `--help`. */
export function help(): string {
  const rows = options.map((option) => `  ${option.env.padEnd(22)} ${option.help} (${option.default})`);
  return `magsd: the Mags server and node in one process\n\nSettings are environment variables:\n${rows.join("\n")}\n`;
}
