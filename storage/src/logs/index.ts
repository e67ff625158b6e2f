export { decodeRecord, encodeRecord, type IndexRecord, LIMIT_MARK, RECORD_BYTES, readEnd } from "./files.ts";
export { bringLog, keepLog, type LogCopy, logPrefix } from "./kept.ts";
export { type LogPlace, readLogs } from "./page.ts";
export { LogReader } from "./reader.ts";
