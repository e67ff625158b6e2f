/** Exit codes of the CLI beside a script's own; the numbers are those of timeout(1), env(1) and shells. */
export const exitCodes = { failed: 1, usage: 2, timeout: 124, notRun: 125, stopped: 130, readerGone: 141 } as const;
