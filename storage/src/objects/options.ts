import { z } from "zod";
import { isKey } from "./store.ts";

const Milliseconds = z.number().int().positive();

const Endpoint = z
  .url({ protocol: /^https?$/, error: "must be a URL, such as https://s3.example.com", abort: true })
  .refine((url) => {
    const { username, password, search, hash } = new URL(url);
    return !username && !password && !search && !hash;
  }, "must be an address only, without user, password or query");

const Directory = z.strictObject({
  kind: z.literal("directory"),
  path: z.string().startsWith("/", "must be an absolute path"),
});

const S3 = z
  .strictObject({
    kind: z.literal("s3"),
    /** absent: Amazon's, by region */
    endpoint: Endpoint.optional(),
    bucket: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be the name of a bucket: 3 to 63 of a-z 0-9 . -"),
    /** absent: us-east-1 where there is an endpoint, else what the SDK finds (AWS_REGION, profile) */
    region: z.string().min(1).optional(),
    /** absent: what the SDK finds (AWS_ACCESS_KEY_ID and the like, profile, role of the machine) */
    accessKeyId: z.string().min(1).optional(),
    secretAccessKey: z.string().min(1).optional(),
    /** the bucket in the path and not in the host's name; by default where there is an endpoint */
    pathStyle: z.boolean().optional(),
    /** put before every key, with a slash between */
    prefix: z.string().refine(isKey, "must be of A-Z a-z 0-9 . _ - and single slashes between").optional(),
    /** how long a connection may take, TLS included */
    connectTimeoutMs: Milliseconds.default(5_000),
    /** how long a request may go without a byte moving */
    idleTimeoutMs: Milliseconds.default(15_000),
    /** how often a request is tried before its error is told */
    attempts: z.number().int().min(1).max(20).default(8),
    maxSockets: z.number().int().min(1).default(32),
  })
  .superRefine(({ accessKeyId, secretAccessKey }, context) => {
    if ((accessKeyId === undefined) === (secretAccessKey === undefined)) return;
    const missing = accessKeyId === undefined ? "accessKeyId" : "secretAccessKey";
    const message = "the access key and its secret belong together: give both or neither";
    context.addIssue({ code: "custom", path: [missing], message });
  });

export const ObjectStoreOptions = z.discriminatedUnion("kind", [Directory, S3]);

/** Where objects are kept, as the configuration says it; what has a default may be left out. */
export type ObjectStoreOptions = z.input<typeof ObjectStoreOptions>;

export type S3Options = z.output<typeof S3>;
