import { mkdir, open, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { logSources } from "@mags/protocol";
import { z } from "zod";
import type { ObjectStore } from "../objects/index.ts";
import { decodeRecord, type IndexRecord, RECORD_BYTES, readEndText } from "./files.ts";
import { decodeSegment, encodeSegment } from "./segment.ts";

/** Output in one object, `bytes`; the last one of a log that grows is written anew until it is full. */
const SEGMENT_BYTES = 1024 ** 2;
const SEGMENT_RECORDS = 32_768;

/** Where the copy of a job's log is. */
export interface LogCopy {
  objects: ObjectStore;
  org: string;
  job: string;
}

/** How far the copy of a log is, by its index; in `kept.json` beside it. */
const Kept = z.object({
  /** which attempt at the job writes the object at hand */
  attempt: z.int(),
  /** first record of that object */
  first: z.int(),
  /** records that are kept */
  records: z.int(),
  /** its end is kept, too */
  ended: z.boolean(),
});
type Kept = z.infer<typeof Kept>;

/** Beginning of the keys of a log's objects. */
export const logPrefix = (org: string, job: string): string => `orgs/${org}/logs/${job}/`;

const segmentKey = ({ org, job }: LogCopy, attempt: number, first: number): string =>
  `${logPrefix(org, job)}${attempt}-${first}`;

/**
 * Copies to the object store what the log in `dir` has and its copy has not; the store is not asked when that is nothing.
 * True when the whole log is there, with its end. Each attempt at a job writes objects of its own, so that a node which was
 * given up cannot overwrite those of the one that goes on. Throws ObjectError, and ENOENT without a log.
 */
export async function keepLog(copy: LogCopy, dir: string, attempt: number): Promise<boolean> {
  let kept = await readKept(dir, attempt);
  for (;;) {
    // Looked at before the records: what is read after it is all there is, if it was there.
    const end = await readEndText(dir);
    const segment = await readSegment(dir, kept.first);
    const records = kept.first + segment.index.length / RECORD_BYTES;
    const ended = segment.last && end !== null;
    if (records > kept.records || ended !== kept.ended) {
      const object = encodeSegment({ first: kept.first, end: ended ? end : null }, segment.index, segment.output);
      await copy.objects.put(segmentKey(copy, attempt, kept.first), object);
    } else if (segment.last) return ended;
    kept = { attempt, first: segment.last ? kept.first : records, records, ended };
    await writeKept(dir, kept);
    if (segment.last) return ended;
  }
}

/**
 * Makes the log in `dir` from its copy, in place of what is there; false when there is no copy, and nothing is changed. Of
 * what two attempts have kept of the same part, the later one's counts. With `open` its end is left out: it goes on. Throws
 * ObjectError, and Error for an object that cannot be read.
 */
export async function bringLog(copy: LogCopy, dir: string, options: { open?: boolean } = {}): Promise<boolean> {
  const segments = await segmentsOf(copy);
  const last = segments.at(-1);
  if (!last) return false;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const index = await open(join(dir, "index"), "w", 0o600);
  const files = await Promise.all(logSources.map((source) => open(join(dir, source), "w", 0o600)));
  let records = 0;
  let end: string | null = null;
  try {
    for (const { key, first, until } of segments) {
      const segment = decodeSegment(await copy.objects.get(key), key);
      const all = segment.index.length / RECORD_BYTES;
      const count = Math.min(all, until - first);
      let at = 0;
      for (let number = 0; number < count; number++) {
        const { source, offset, length } = decodeRecord(segment.index, number * RECORD_BYTES);
        await files[logSources.indexOf(source)]?.write(segment.output, at, length, offset);
        at += length;
      }
      await index.write(segment.index, 0, count * RECORD_BYTES, first * RECORD_BYTES);
      records = first + count;
      end = count === all ? segment.end : null;
    }
  } finally {
    await Promise.all([index, ...files].map((file) => file.close()));
  }
  if (options.open) end = null;
  if (end !== null) await writeFile(join(dir, "end.json"), end, { mode: 0o600 });
  await writeKept(dir, { attempt: last.attempt, first: records, records, ended: end !== null });
  return true;
}

/** The objects of a log in its order, and up to which record each of them counts. */
async function segmentsOf(copy: LogCopy) {
  const found: { key: string; attempt: number; first: number }[] = [];
  const prefix = logPrefix(copy.org, copy.job);
  for await (const { key } of copy.objects.list(prefix)) {
    const [attempt, first] = key.slice(prefix.length).split("-").map(Number);
    if (Number.isInteger(attempt) && Number.isInteger(first)) found.push({ key, attempt, first } as never);
  }
  found.sort((a, b) => b.attempt - a.attempt || b.first - a.first);
  const chosen: ((typeof found)[number] & { until: number })[] = [];
  let until = Number.POSITIVE_INFINITY;
  for (const segment of found) {
    if (segment.first >= until) continue;
    chosen.push({ ...segment, until });
    until = segment.first;
  }
  return chosen.reverse();
}

async function readSegment(dir: string, first: number): Promise<{ index: Buffer; output: Buffer; last: boolean }> {
  const index = await open(join(dir, "index"), "r");
  try {
    const buffer = Buffer.alloc(SEGMENT_RECORDS * RECORD_BYTES);
    const { bytesRead } = await index.read(buffer, 0, buffer.length, first * RECORD_BYTES);
    const available = Math.floor(bytesRead / RECORD_BYTES);
    const records: IndexRecord[] = [];
    for (let bytes = 0; records.length < available && bytes < SEGMENT_BYTES; ) {
      const record = decodeRecord(buffer, records.length * RECORD_BYTES);
      records.push(record);
      bytes += record.length;
    }
    const last = records.length === available && available < SEGMENT_RECORDS;
    return { index: buffer.subarray(0, records.length * RECORD_BYTES), output: await readOutput(dir, records), last };
  } finally {
    await index.close();
  }
}

/** The bytes of the records, one after the other. */
async function readOutput(dir: string, records: IndexRecord[]): Promise<Buffer> {
  const output = Buffer.alloc(records.reduce((sum, { length }) => sum + length, 0));
  const files = await Promise.all(logSources.map((source) => open(join(dir, source), "r")));
  try {
    let at = 0;
    for (const { source, offset, length } of records) {
      await files[logSources.indexOf(source)]?.read(output, at, length, offset);
      at += length;
    }
    return output;
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

async function readKept(dir: string, attempt: number): Promise<Kept> {
  const text = await readFile(join(dir, "kept.json"), "utf8").catch(() => undefined);
  const kept = text === undefined ? undefined : Kept.safeParse(JSON.parse(text)).data;
  if (!kept) return { attempt, first: 0, records: 0, ended: false };
  return kept.attempt === attempt ? kept : { ...kept, attempt, first: kept.records };
}

/** A copy that is ahead of this is written once more, the same. */
async function writeKept(dir: string, kept: Kept): Promise<void> {
  const path = join(dir, "kept.json");
  await writeFile(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
  await rename(`${path}.new`, path);
}
