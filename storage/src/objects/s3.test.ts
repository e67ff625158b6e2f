import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { inspect } from "node:util";
import { run } from "@mags/kit";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { openObjectStore } from "./index.ts";
import type { S3Options } from "./options.ts";
import { objectStoreContract } from "./testing/contract.ts";
import { type Radosgw, startRadosgw } from "./testing/radosgw.ts";

let server: Radosgw;
let stores = 0;
beforeAll(async () => {
  server = await startRadosgw();
  await server.bucket("objects");
});
afterAll(() => server?.stop());

const options = (other: Partial<S3Options> = {}) => ({
  kind: "s3" as const,
  endpoint: server.endpoint,
  region: server.region,
  bucket: "objects",
  prefix: `store-${stores}`,
  accessKeyId: server.accessKey,
  secretAccessKey: server.secretKey,
  ...other,
});

objectStoreContract("s3", async () => ({
  fresh: () => {
    stores++;
    return options();
  },
  remove: async () => undefined,
}));

describe("s3 set up wrongly", () => {
  const failing = async (other: Partial<S3Options>) => {
    const store = await openObjectStore(options({ attempts: 2, ...other }));
    const error = await store.check().catch((thrown: unknown) => thrown);
    const put = await store.put("a", Buffer.from("x")).catch((thrown: unknown) => thrown);
    const get = await store.get("a").catch((thrown: unknown) => thrown);
    await store.close();
    const { code } = error as { code: string };
    for (const other of [put, get]) expect(other).toMatchObject({ name: "ObjectError", code });
    expect(inspect([error, put, get, store], { depth: 20, showHidden: true })).not.toContain(server.secretKey);
    return error;
  };

  test("a wrong secret is denied", async () => {
    const error = await failing({ secretAccessKey: "x".repeat(40) });
    expect(error).toMatchObject({ code: "denied", retryable: false });
    expect(error).toMatchObject({ hint: expect.stringContaining("MAGS_S3_SECRET_ACCESS_KEY") });
  });

  test("an unknown access key is denied", async () => {
    const error = await failing({ accessKeyId: "nobody" });
    expect(error).toMatchObject({ code: "denied", hint: expect.stringContaining("does not know") });
  });

  test("a bucket that is not there is invalid", async () => {
    const error = await failing({ bucket: "no-such-bucket" });
    expect(error).toMatchObject({ code: "invalid", retryable: false, hint: expect.stringContaining("Create") });
  });

  test("an endpoint where nothing listens is unreachable", async () => {
    const error = await failing({ endpoint: "http://127.0.0.1:9" });
    expect(error).toMatchObject({ code: "unreachable", retryable: true });
    expect(error).toMatchObject({ hint: expect.stringContaining("MAGS_S3_ENDPOINT") });
  });

  test("a name that is no host is unreachable", async () => {
    expect(await failing({ endpoint: "http://no.such.host.invalid" })).toMatchObject({ code: "unreachable" });
  });

  test("plain HTTP where TLS is wanted is unreachable", async () => {
    const https = server.endpoint.replace("http:", "https:");
    expect(await failing({ endpoint: https })).toMatchObject({ code: "unreachable" });
  });
});

describe("s3 at an address that is something else", () => {
  const at = async (listener: Server, scheme: string, work: (endpoint: string) => Promise<void>) => {
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    try {
      await work(`${scheme}://127.0.0.1:${(listener.address() as AddressInfo).port}`);
    } finally {
      listener.close();
    }
  };

  test("a server that never greets is unreachable after the time to connect", async () => {
    const silent = createServer((socket) => socket.on("error", () => undefined));
    await at(silent, "https", async (endpoint) => {
      const store = await openObjectStore(options({ endpoint, connectTimeoutMs: 200, attempts: 2 }));
      const started = Date.now();
      await expect(store.get("a")).rejects.toMatchObject({ code: "unreachable", retryable: true });
      expect(Date.now() - started).toBeGreaterThan(390);
      expect(Date.now() - started).toBeLessThan(2_000);
      await store.close();
    });
  });

  test.each(["", "<!doctype html><title>Welcome</title>"])(
    "a web server that answers %j to all is invalid",
    async (page) => {
      const web = createHttpServer((request, response) => request.resume().on("end", () => response.end(page)));
      await at(web, "http", async (endpoint) => {
        const store = await openObjectStore(options({ endpoint, attempts: 2 }));
        await expect(store.check()).rejects.toMatchObject({ name: "ObjectError", code: "invalid" });
        await store.close();
      });
    },
  );

  test("what an answer repeats of the request is not in the error", async () => {
    const echo = createHttpServer((request, response) => {
      const text = `<Error><Code>AccessDenied</Code><CanonicalRequest>${request.headers.authorization}</CanonicalRequest></Error>`;
      request.resume().on("end", () => response.writeHead(403, { "content-type": "application/xml" }).end(text));
    });
    await at(echo, "http", async (endpoint) => {
      const store = await openObjectStore(options({ endpoint }));
      const error = await store.get("a").catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "denied", message: expect.stringContaining("AccessDenied") });
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain("Signature=");
      await store.close();
    });
  });

  test("TLS with a certificate that nobody vouches for is unreachable; with one that is trusted all is well", async () => {
    const directory = await mkdtemp("/tmp/mags-objects-");
    const [keyout, out] = [`${directory}/key.pem`, `${directory}/cert.pem`];
    const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
    await run("openssl", [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      keyout,
      "-out",
      out,
      ...subject,
    ]);
    const cert = await readFile(out, "utf8");
    const tls = createTlsServer({ cert, key: await readFile(keyout) }, (socket) => {
      const inner = connect(Number(new URL(server.endpoint).port), "127.0.0.1");
      for (const end of [socket, inner]) end.on("error", () => undefined);
      socket.pipe(inner).pipe(socket);
    });
    await at(tls, "https", async (endpoint) => {
      const store = await openObjectStore(options({ endpoint }));
      const hint = expect.stringContaining("certificate");
      await expect(store.check()).rejects.toMatchObject({ code: "unreachable", retryable: false, hint });
      await store.close();
      const trusted = getCACertificates();
      setDefaultCACertificates([...trusted, cert]);
      const trusting = await openObjectStore(options({ endpoint }));
      await trusting.check().finally(() => setDefaultCACertificates(trusted));
      await trusting.close();
    });
    await rm(directory, { recursive: true });
  });
});

describe("s3 without credentials in its options", () => {
  afterEach(() => vi.unstubAllEnvs());

  test("takes those of AWS's variables", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", server.accessKey);
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", server.secretKey);
    const store = await openObjectStore(options({ accessKeyId: undefined, secretAccessKey: undefined }));
    await store.check();
    await store.close();
  });

  test("is denied where there are none at all", async () => {
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    vi.stubEnv("AWS_CONFIG_FILE", "/dev/null");
    const store = await openObjectStore(options({ accessKeyId: undefined, secretAccessKey: undefined }));
    const hint = expect.stringContaining("Set MAGS_S3_ACCESS_KEY_ID");
    await expect(store.check()).rejects.toMatchObject({ code: "denied", hint });
    await store.close();
  });
});

test("it says what it is, without secrets", async () => {
  const store = await openObjectStore(options({ prefix: "p" }));
  expect(store.description).toBe(`s3://objects/p at ${server.endpoint}`);
  expect(JSON.stringify(store)).not.toContain(server.secretKey);
});
