export { Cleanup } from "./cleanup.ts";
export { createLogger, type Logger } from "./log.ts";
export { type CommandOptions, RunError, type Running, type RunOptions, run, spawn } from "./run.ts";
export { SyscallError } from "./syscalls/libc.ts";
export { growLoop, mountImage } from "./syscalls/loop.ts";
export { bindIdmapped, MS_NOATIME, mount, mountAs, reflink, unmount } from "./syscalls/mount.ts";
export { createNetns, inNetns, RouteTables, setNetworkSetting } from "./syscalls/network.ts";
export { makeFifo, makePipe, setPipeSize, splicePipe } from "./syscalls/pipe.ts";
export { startProcess } from "./syscalls/process.ts";
