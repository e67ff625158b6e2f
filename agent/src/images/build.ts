import { createInterface } from "node:readline";
import { spawn } from "@mags/kit";
import type { Image } from "../sandbox/driver.ts";
import { ImageUnavailable } from "./errors.ts";
import { directoryOf } from "./read.ts";

/** An image that is being made. */
export interface Build {
  done: Promise<Image>;
  /** what it does now */
  readonly step: string | null;
  /** Calls `log` for each further step, until the answered function is called. */
  follow(log: (line: string) => void): () => void;
  cancel(): Promise<void>;
}

const SCRIPTS = new URL("../../../images/", import.meta.url).pathname;
const STEP = /^ *\[ *\d+s\] .*? image: (.*)$/;

interface Making {
  dir: string;
  name: string;
  /** the registry has no TLS */
  plain: boolean;
  mostMb: number;
  alpineMirror: string;
}

/** Runs the script that builds a recipe or pulls a reference; `read` answers the image when it is there. */
export function startBuild({ dir, name, plain, mostMb, alpineMirror }: Making, read: () => Promise<Image>): Build {
  const argv = name.startsWith("docker://")
    ? [`${SCRIPTS}pull.sh`, dir, directoryOf(name), name, String(mostMb), plain ? "plain" : "tls"]
    : [`${SCRIPTS}build.sh`, dir, name];
  const listeners = new Set<(line: string) => void>();
  let step: string | null = null;
  let reason = "";
  // In a process group of its own, so that all that it starts ends with it.
  const script = spawn("sh", argv, {
    stdin: "ignore",
    stdout: "ignore",
    reject: false,
    env: { MAGS_ALPINE_MIRROR: alpineMirror },
    detached: true,
    cleanup: true,
  });
  createInterface({ input: script.stderr }).on("line", (line) => {
    const [, said] = STEP.exec(line) ?? [];
    if (said === undefined) {
      if (line.startsWith("error: ")) reason = line.slice("error: ".length);
      return;
    }
    step = said;
    for (const listener of listeners) listener(`image ${name}: ${said}`);
  });
  const done = script.then(({ exitCode, signal }) => {
    if (exitCode === 0) return read();
    throw new ImageUnavailable(reason || `image ${name} was not made: ${signal ?? `exit code ${exitCode}`}`);
  });
  return {
    done,
    get step() {
      return step;
    },
    follow: (log) => {
      if (step !== null) log(`image ${name}: ${step}`);
      listeners.add(log);
      return () => listeners.delete(log);
    },
    cancel: async () => {
      if (script.pid !== undefined) killGroup(script.pid);
      await done.catch(() => undefined);
    },
  };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {
    // it has ended
  }
}
