/** Rules for every command there is, so that a new one keeps them, too. */
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { program } from "../src/program.ts";
import { expectGolden, session } from "./golden.ts";

const all = walk(program());

/** A command and those below it, without what people do not call. */
function walk(command: Command): Command[] {
  const below = command.createHelp().visibleCommands(command);
  return [command, ...below.filter((one) => one.name() !== "help").flatMap(walk)];
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => void (text += part) });
  command.outputHelp();
  return text;
}

test("the walk finds what there is", () => {
  expect(all.map(pathOf)).toEqual(expect.arrayContaining(["mags", "mags run", "mags workspace fork", "mags mcp"]));
  expect(all.length).toBeGreaterThan(50);
});

test.each(all.map((command) => [pathOf(command), command] as const))(
  "%s shows an example of itself",
  (path, command) => {
    expect(helpOf(command)).toMatch(new RegExp(`\\nExamples?:\\n(.*\\n)* *(.*\\| *)?${path}`));
  },
);

test.each(all.map((command) => [pathOf(command), command] as const))("%s can print JSON", (_, command) => {
  const leads = command.commands.length > 0 && command.registeredArguments.length === 0;
  const writesJson = pathOf(command) === "mags audit export";
  expect(leads || writesJson || command.options.some(({ long }) => long === "--json")).toBe(true);
});

describe("help", () => {
  test.each(["new", "completion", "mcp"])("%s", async (command) => {
    expectGolden(`help-${command}`, await session([command, "--help"]));
  });
});
