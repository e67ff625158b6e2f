import { readFileSync, statSync } from "node:fs";
import { basename, extname } from "node:path";

/** What a job is given: its script, and the file that this script starts where it is not one of the shell's own. */
export interface Script {
  script: string;
  upload?: { name: string; data: Uint8Array<ArrayBuffer> };
}

/** Who runs a file that does not say it itself in its first line. */
const interpreters: Record<string, string> = {
  ".sh": "/bin/sh",
  ".bash": "bash",
  ".py": "python3",
  ".js": "node",
  ".mjs": "node",
  ".cjs": "node",
  ".pl": "perl",
  ".rb": "ruby",
  ".php": "php",
  ".lua": "lua",
};
const SHELLS = /^#! *(\/usr)?\/bin\/(env +)?(sh|dash) *$/;

/** True where the word of a command line is a file that can be run by itself: it has a first line or a name that says how. */
export function isScriptFile(word: string): boolean {
  try {
    if (!statSync(word).isFile()) return false;
    return extname(word) in interpreters || readFileSync(word).subarray(0, 2).toString() === "#!";
  } catch {
    return false;
  }
}

/**
 * A file as a script with arguments. The shell's own are sent as they are; any other goes to /root under its name, where
 * its first line or else its extension says who runs it.
 */
export function scriptOf(path: string, content: Buffer<ArrayBuffer>, args: readonly string[]): Script {
  const [firstLine = ""] = content.subarray(0, 256).toString().split("\n", 1);
  const named = firstLine.startsWith("#!") ? undefined : (interpreters[extname(path)] ?? "/bin/sh");
  if (named === "/bin/sh" || SHELLS.test(firstLine)) {
    const set = args.length > 0 ? `set -- ${args.map(quoted).join(" ")}\n` : "";
    return { script: set + content.toString() };
  }
  const name = basename(path);
  // A name that begins with a dash would be an option.
  const file = named && !name.startsWith("-") ? name : `./${name}`;
  const words = (named ? [named, file, ...args] : [file, ...args]).map(quoted).join(" ");
  return {
    script: named ? `exec ${words}` : `chmod +x ${quoted(file)} && exec ${words}`,
    upload: { name, data: content },
  };
}

/** One word for the shell. */
const quoted = (word: string) => (/^[\w./=:@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
