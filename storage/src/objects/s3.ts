import { createHash, randomUUID } from "node:crypto";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from "@aws-sdk/client-s3";
import type { S3Options } from "./options.ts";
import { probe } from "./probe.ts";
import { CONFLICTS, DAMAGED_UPLOAD, s3Error } from "./s3-errors.ts";
import { SHA256_METADATA, WholeAnswers } from "./s3-transport.ts";
import { checkKey, checkPrefix, checkSignal, ObjectError, type ObjectStore } from "./store.ts";

const DELETE_BATCH = 1000;
/** The object's metadata that tells one put from any other, so that a put whose answer was lost knows its own object. */
const PUT_METADATA = "mags-put";

/** Objects in a bucket of any server that speaks S3 and honours If-None-Match on PUT. */
export class S3ObjectStore implements ObjectStore {
  readonly description: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(options: S3Options) {
    const { bucket, prefix, endpoint } = options;
    this.#bucket = bucket;
    this.#prefix = prefix === undefined ? "" : `${prefix}/`;
    this.#client = connect(options);
    this.description = `s3://${bucket}${prefix === undefined ? "" : `/${prefix}`} at ${endpoint ?? "Amazon"}`;
  }

  async get(key: string, { signal }: { signal?: AbortSignal } = {}): Promise<Buffer> {
    const object = this.#object(key, signal);
    return this.#try(`getting ${key}`, async () => {
      const { Body } = await this.#client.send(new GetObjectCommand(object), { abortSignal: signal });
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    });
  }

  async put(
    key: string,
    body: Uint8Array,
    { ifAbsent = false, signal }: { ifAbsent?: boolean; signal?: AbortSignal } = {},
  ): Promise<"stored" | "present"> {
    const object = this.#object(key, signal);
    const id = randomUUID();
    const sha256 = createHash("sha256").update(body).digest("hex");
    const command = new PutObjectCommand({
      ...object,
      Body: body,
      ContentType: "application/octet-stream",
      Metadata: { [SHA256_METADATA]: sha256, [PUT_METADATA]: id },
      ...(ifAbsent && { IfNoneMatch: "*" }),
    });
    return this.#try(`putting ${key}`, async () => {
      try {
        await this.#client.send(command, { abortSignal: signal });
        return "stored";
      } catch (error) {
        if (!ifAbsent || statusOf(error) !== 412) throw error;
        return attemptsOf(error) > 1 && (await this.#isOwn(object, id, signal)) ? "stored" : "present";
      }
    });
  }

  async has(key: string): Promise<boolean> {
    const object = this.#object(key);
    return this.#try(`looking for ${key}`, async () => {
      try {
        await this.#client.send(new HeadObjectCommand(object));
        return true;
      } catch (error) {
        if (statusOf(error) === 404) return false;
        throw error;
      }
    });
  }

  async delete(keys: readonly string[]): Promise<void> {
    const all = [...new Set(keys)].map((key) => ({ Key: this.#object(key).Key }));
    const failed: { Key?: string; Code?: string; Message?: string }[] = [];
    for (let start = 0; start < all.length; start += DELETE_BATCH) {
      const Delete = { Objects: all.slice(start, start + DELETE_BATCH), Quiet: true };
      const { Errors = [] } = await this.#try("deleting objects", () =>
        this.#client.send(new DeleteObjectsCommand({ Bucket: this.#bucket, Delete })),
      );
      failed.push(...Errors.filter(({ Code }) => Code !== "NoSuchKey"));
    }
    const [first] = failed;
    if (!first) return;
    const cause = Object.assign(new Error(first.Message ?? ""), {
      name: first.Code ?? "Error",
      $metadata: { httpStatusCode: STATUS_OF_KEY[first.Code ?? ""] ?? 400 },
    });
    throw s3Error(`deleting ${first.Key} (${failed.length} of ${all.length} failed) in ${this.description}`, cause);
  }

  async *list(prefix: string): AsyncGenerator<{ key: string; bytes: number; modified: Date }> {
    checkPrefix(prefix);
    const input = { Bucket: this.#bucket, Prefix: this.#prefix + prefix };
    try {
      for await (const page of paginateListObjectsV2({ client: this.#client }, input)) {
        for (const { Key, Size, LastModified } of page.Contents ?? []) {
          if (Key === undefined || Size === undefined || LastModified === undefined) {
            throw new ObjectError("invalid", `${this.description} lists an object without key, size or time`, {
              hint: "Use a server that answers ListObjectsV2 in full.",
            });
          }
          yield { key: Key.slice(this.#prefix.length), bytes: Size, modified: LastModified };
        }
      }
    } catch (error) {
      throw this.#error(`listing ${prefix || "all"}`, error);
    }
  }

  check(): Promise<void> {
    return probe(this);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #object(key: string, signal?: AbortSignal): { Bucket: string; Key: string } {
    checkKey(key);
    checkSignal(signal);
    return { Bucket: this.#bucket, Key: this.#prefix + key };
  }

  /** Whether the object that is there was written by an earlier attempt of the same put. */
  async #isOwn(object: { Bucket: string; Key: string }, id: string, abortSignal?: AbortSignal): Promise<boolean> {
    try {
      const { Metadata } = await this.#client.send(new HeadObjectCommand(object), { abortSignal });
      return Metadata?.[PUT_METADATA] === id;
    } catch (error) {
      // Deleted since.
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  async #try<T>(action: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#error(action, error);
    }
  }

  #error(action: string, error: unknown): ObjectError {
    return s3Error(`${action} in ${this.description}`, error);
  }
}

/** Statuses that S3 would give to what it says about one key among many. */
const STATUS_OF_KEY: Record<string, number> = { AccessDenied: 403, InternalError: 500, SlowDown: 503 };

function connect(options: S3Options): S3Client {
  const { endpoint, accessKeyId, secretAccessKey } = options;
  const client = new S3Client({
    endpoint,
    region: options.region ?? (endpoint === undefined ? undefined : "us-east-1"),
    credentials: accessKeyId && secretAccessKey ? { accessKeyId, secretAccessKey } : undefined,
    forcePathStyle: options.pathStyle ?? endpoint !== undefined,
    requestHandler: new WholeAnswers(options),
    retryMode: "standard",
    maxAttempts: options.attempts,
    requestChecksumCalculation: "WHEN_SUPPORTED",
    responseChecksumValidation: "WHEN_SUPPORTED",
    // It would leave the connections that are kept, for one of its own each time.
    expectContinueHeader: false,
  });
  client.middlewareStack.add(
    (next) => async (args) => {
      try {
        return await next(args);
      } catch (error) {
        const { name } = error as Error;
        if ([...CONFLICTS, ...DAMAGED_UPLOAD].includes(name)) Object.assign(error as Error, { $retryable: {} });
        throw error;
      }
    },
    // Outside of the deserializer, which gives errors their names, and inside of the retries.
    { step: "deserialize", priority: "high", name: "markRetryable" },
  );
  return client;
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
}

function attemptsOf(error: unknown): number {
  return (error as { $metadata?: { attempts?: number } }).$metadata?.attempts ?? 1;
}
