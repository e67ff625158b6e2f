import { readFileSync } from "node:fs";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { chunkKey, decodeManifest, encodeManifest, type Manifest, manifestKey, sha256 } from "./manifest.ts";

const HASHES = [1, 2, 3].map((digit) => String(digit).repeat(64)) as [string, string, string];
const manifest: Manifest = {
  format: 1,
  volume_bytes: 2_500_000,
  chunk_bytes: 1_048_576,
  chunks: [
    [0, HASHES[0], 0],
    [2, HASHES[1], 7],
  ],
};
const packed = (content: unknown) => zstdCompressSync(JSON.stringify(content));

test("a manifest is read as it was written, and its file is the same each time", () => {
  const file = encodeManifest(manifest);
  expect(decodeManifest(file)).toEqual(manifest);
  expect(encodeManifest(manifest)).toEqual(file);
  expect(zstdDecompressSync(file).toString()).toBe(
    `{"format":1,"volume_bytes":2500000,"chunk_bytes":1048576,"chunks":[[0,"${HASHES[0]}",0],[2,"${HASHES[1]}",7]]}`,
  );
});

test("the manifest file of format 1 that a released Mags wrote is read for ever", () => {
  const file = readFileSync(new URL("./testing/formats/manifest-1.zst", import.meta.url));
  expect(sha256(file)).toBe("6d2e88b6179179da4ab4043da3de03e5a2ff7987d643019f1a55006f8f6cf8d3");
  expect(decodeManifest(file)).toEqual(manifest);
});

test("keys are below the tenant, by hash and epoch", () => {
  expect(manifestKey("acme", HASHES[0])).toBe(`orgs/acme/manifests/${HASHES[0]}`);
  expect(chunkKey("acme", HASHES[1], 3)).toBe(`orgs/acme/chunks/22/${HASHES[1]}.3`);
});

test("any single byte of a manifest's file that is another is noticed", () => {
  const file = encodeManifest(manifest);
  for (let at = 0; at < file.length; at++) {
    const damaged = Buffer.from(file);
    damaged[at] = (damaged[at] as number) ^ 0x10;
    let read: Manifest | undefined;
    try {
      read = decodeManifest(damaged, "the-key");
    } catch (error) {
      expect(error).toMatchObject({ name: "VersionError", code: "damaged", key: "the-key" });
      expect((error as Error).message).toContain("the-key");
    }
    // The header has bits without a meaning for the content.
    if (read) expect(read).toEqual(manifest);
  }
  for (const length of [0, 3, file.length / 2, file.length - 1]) {
    expect(() => decodeManifest(file.subarray(0, length))).toThrow("damaged");
  }
});

test("a newer format is refused as such, and not as damage", () => {
  const wanted = expect.objectContaining({
    code: "newer",
    key: "k",
    message: expect.stringMatching(/format 2.*newer/),
  });
  expect(() => decodeManifest(packed({ format: 2, anything: "else" }), "k")).toThrow(wanted);
});

test.each<[string, Record<string, unknown>]>([
  ["no format", { format: undefined }],
  ["format 0", { format: 0 }],
  ["a size of 0", { volume_bytes: 0 }],
  ["chunks of another size", { chunk_bytes: 4096 }],
  ["an unknown field", { other: 1 }],
  ["chunks in disorder", { chunks: [manifest.chunks[1], manifest.chunks[0]] }],
  ["a chunk twice", { chunks: [manifest.chunks[0], manifest.chunks[0]] }],
  ["a chunk behind the end", { chunks: [[3, HASHES[0], 0]] }],
  ["what is no hash", { chunks: [[0, "abc", 0]] }],
  ["an epoch below 0", { chunks: [[0, HASHES[0], -1]] }],
])("a manifest with %s is damaged", (_, change) => {
  expect(() => decodeManifest(packed({ ...manifest, ...change }))).toThrow(
    expect.objectContaining({ code: "damaged" }),
  );
});

test("what is no JSON is damaged, and so is what would fill the memory", () => {
  expect(() => decodeManifest(zstdCompressSync("["))).toThrow("damaged");
  const bomb = zstdCompressSync(Buffer.alloc(300 * 1024 ** 2));
  expect(bomb.length).toBeLessThan(100_000);
  expect(() => decodeManifest(bomb)).toThrow("damaged");
});
