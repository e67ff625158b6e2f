import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@mags/kit";
import { ObjectError, type ObjectStore } from "@mags/storage";

/** File of the data directory that names the object store which has passed the check. */
const CHECKED = "object-store";
/** A start waits this long for a store that is known, `ms`. */
const PATIENCE_MS = 5000;

/**
 * Makes sure that the object store can do what is needed. One that has shown it before may be away: scripts, URLs and ways in do without it,
 * and whoever needs it hears of that. Throws ObjectError.
 */
export async function checkStore(objects: ObjectStore, dataDir: string, logger: Logger): Promise<void> {
  const file = join(dataDir, CHECKED);
  const known = (await readFile(file, "utf8").catch(() => "")) === objects.description;
  const checked = objects.check();
  if (!known) {
    await checked;
    // On a full disk the next start checks again.
    await writeFile(file, objects.description, { mode: 0o600 }).catch((err) =>
      logger.warn({ err }, "that the object store was checked could not be noted"),
    );
    return;
  }
  const away = (err: unknown) => logger.warn({ err }, `${objects.description} is away; what needs it waits or fails`);
  const late = new AbortController();
  const waited = delay(PATIENCE_MS, "late", { signal: late.signal }).catch(() => undefined);
  try {
    if ((await Promise.race([checked, waited])) === "late") checked.catch(away);
  } catch (error) {
    if (!(error instanceof ObjectError) || !error.retryable) throw error;
    away(error);
  } finally {
    late.abort();
  }
}
