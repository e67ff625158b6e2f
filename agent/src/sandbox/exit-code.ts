import { constants } from "node:os";

/** The signal that a shell's exit status of 128+n stands for. */
export function signalOf(exitCode: number): string | null {
  if (exitCode <= 128) return null;
  return Object.entries(constants.signals).find(([, number]) => number === exitCode - 128)?.[0] ?? null;
}
