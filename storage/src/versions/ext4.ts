import { RunError, run } from "@mags/kit";

/**
 * Replays the journal of an ext4 image that is not mounted and mends what is no damage, such as counters that are written
 * late. Throws RunError for anything that a person would have to decide.
 */
export async function preen(image: string): Promise<void> {
  try {
    await run("e2fsck", ["-f", "-p", image]);
  } catch (error) {
    // 1: something was mended, and all is well now.
    if (!(error instanceof RunError && error.exitCode === 1)) throw error;
  }
}
