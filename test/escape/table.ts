import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { updateTable } from "./config.ts";

/** How an attempt went. */
export interface Row {
  runtime: "container" | "qemu";
  group: string;
  name: string;
  stopped: boolean;
  /** what stopped it, or what it got */
  by: string;
}

const PAGE = join(import.meta.dirname, "../../docs/escape.md");
const OWN = "its own kernel";
const HEAD = "| attempt | container | virtual machine |\n| --- | --- | --- |\n";
/** Likewise, with columns as wide as the formatter makes them. */
const HEAD_ON_PAGE = /^\| attempt .*\n\|[ |-]+\n/m;

/** Prints what stopped each attempt. Answers the differences of names between the attempts and the page, which it writes when told to. */
export async function keepTable(rows: readonly Row[]): Promise<string[]> {
  const lines = merged(rows).map(({ name, container, qemu }) => `| ${name} | ${container} | ${qemu} |`);
  process.stdout.write(`${HEAD}${lines.join("\n")}\n`);
  const page = await readFile(PAGE, "utf8");
  const [before = "", table = ""] = page.split(HEAD_ON_PAGE);
  if (updateTable) await writeFile(PAGE, `${before}${HEAD}${lines.join("\n")}\n`);
  const named = [...table.matchAll(/^\| (.*?) +\|/gm)].map(([, name]) => name as string);
  const made = merged(rows).map(({ name }) => name);
  return [
    ...made.filter((name) => !named.includes(name)).map((name) => `not on the page: ${name}`),
    ...named.filter((name) => !made.includes(name)).map((name) => `on the page only: ${name}`),
  ];
}

function merged(rows: readonly Row[]) {
  return [...new Set(rows.map(({ name }) => name))].map((name) => {
    const of = (runtime: Row["runtime"]) => rows.find((each) => each.name === name && each.runtime === runtime);
    return { name, container: of("container")?.by ?? "it has no raw packets", qemu: inMachine(of("qemu")) };
  });
}

/** What a machine's kernel says of itself is of no interest to others. */
function inMachine(row: Row | undefined): string {
  return row?.stopped && (row.group.includes("of others") || !/^[A-Z0-9, ]+$/.test(row.by)) ? row.by : OWN;
}
