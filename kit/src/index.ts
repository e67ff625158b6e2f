export { Cleanup } from "./cleanup.ts";
export { createLogger, type Logger } from "./log.ts";
export { RunError, type Running, type RunOptions, run, spawn } from "./run.ts";
export { bindIdmapped, mount, mountAs, reflink, SyscallError, unmount } from "./syscalls/mount.ts";
export { makeFifo, setPipeSize, splicePipe } from "./syscalls/pipe.ts";
