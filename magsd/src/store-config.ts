import { ObjectStoreOptions } from "@mags/storage";
import { z } from "zod";

/** The options that say where objects are kept. */
export const storeOptions = [
  {
    name: "store",
    env: "MAGS_STORE",
    default: "directory",
    help: "Where objects are kept: directory (objects in the data directory), an absolute path, or s3://bucket[/prefix]",
  },
  {
    name: "s3Endpoint",
    env: "MAGS_S3_ENDPOINT",
    also: ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
    default: "Amazon's",
    help: "Address of the S3 server, such as https://s3.example.com",
  },
  {
    name: "s3Region",
    env: "MAGS_S3_REGION",
    also: ["AWS_REGION", "AWS_DEFAULT_REGION"],
    default: "us-east-1 with an endpoint, else what AWS's SDK finds",
    help: "Region of the bucket",
  },
  {
    name: "s3AccessKeyId",
    env: "MAGS_S3_ACCESS_KEY_ID",
    default: "what AWS's SDK finds: AWS_ACCESS_KEY_ID, a profile, the machine's role",
    help: "Access key for the bucket",
  },
  {
    name: "s3SecretAccessKey",
    env: "MAGS_S3_SECRET_ACCESS_KEY",
    default: "like the access key",
    help: "Secret of the access key",
    secret: true,
  },
  {
    name: "s3PathStyle",
    env: "MAGS_S3_PATH_STYLE",
    default: "true with an endpoint",
    help: "true where the bucket is in the path of addresses, false where it is in the host's name",
  },
] as const;

/** What the variables hold by themselves. */
export const StoreSettings = z.object({
  store: z
    .string()
    .regex(/^(directory|\/.*|s3:\/\/.+)$/, "must be directory, an absolute path or s3://bucket[/prefix]")
    .default("directory"),
  s3Endpoint: z.string().optional(),
  s3Region: z.string().optional(),
  s3AccessKeyId: z.string().optional(),
  s3SecretAccessKey: z.string().optional(),
  s3PathStyle: z
    .enum(["true", "false"], "must be true or false")
    .transform((value) => value === "true")
    .optional(),
});

export type StoreSettings = z.infer<typeof StoreSettings>;

/** The store that the settings describe, or what is wrong with them, each with its variable. */
export function readStore(
  settings: StoreSettings,
  dataDir: string,
): { store: ObjectStoreOptions; problems: [] } | { store?: undefined; problems: string[] } {
  const options = describe(settings, dataDir);
  const parsed = ObjectStoreOptions.safeParse(options);
  if (parsed.success) return { store: options, problems: [] };
  return { problems: parsed.error.issues.map(({ path, message }) => `${VARIABLES[String(path[0])]}: ${message}`) };
}

const VARIABLES: Record<string, string> = {
  bucket: "MAGS_STORE",
  prefix: "MAGS_STORE",
  path: "MAGS_STORE",
  endpoint: "MAGS_S3_ENDPOINT",
  accessKeyId: "MAGS_S3_ACCESS_KEY_ID",
  secretAccessKey: "MAGS_S3_SECRET_ACCESS_KEY",
};

function describe(settings: StoreSettings, dataDir: string): ObjectStoreOptions {
  const { store } = settings;
  if (store === "directory") return { kind: "directory", path: `${dataDir}/objects` };
  if (store.startsWith("/")) return { kind: "directory", path: store };
  const [, bucket = "", prefix] = /^s3:\/\/([^/]*)(?:\/(.*?))?\/?$/.exec(store) ?? [];
  return {
    kind: "s3",
    bucket,
    prefix: prefix || undefined,
    endpoint: settings.s3Endpoint,
    region: settings.s3Region,
    accessKeyId: settings.s3AccessKeyId,
    secretAccessKey: settings.s3SecretAccessKey,
    pathStyle: settings.s3PathStyle,
  };
}
