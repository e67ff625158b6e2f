import type { Argument, Command, Option } from "commander";

export interface Candidate {
  value: string;
  text: string;
}

/** Asks the server for names of a kind; answers nothing where it cannot. */
export type NamesOf = (argument: string) => Promise<Candidate[]>;

/**
 * What may stand in place of the last of `words`, which may be empty: subcommands, options, their values, and names that
 * the server knows. Nothing at all leaves it to the shell, which offers files.
 */
export async function complete(program: Command, words: string[], namesOf: NamesOf): Promise<Candidate[]> {
  const typed = words.at(-1) ?? "";
  const { command, given, awaited } = walk(program, words.slice(0, -1));
  const found = awaited
    ? choicesOf(awaited)
    : typed.startsWith("-")
      ? optionsOf(command)
      : [...subcommandsOf(command), ...(await valuesOf(command.registeredArguments, given, namesOf))];
  return found.filter(({ value }) => value.startsWith(typed));
}

/** The command that the words lead to, how many arguments it has by then, and the option that waits for its value. */
function walk(program: Command, words: string[]): { command: Command; given: number; awaited: Option | undefined } {
  let command = program;
  let given = 0;
  let awaited: Option | undefined;
  for (const word of words) {
    if (awaited) awaited = undefined;
    else if (word.startsWith("-")) awaited = optionNamed(command, word);
    else {
      const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
      if (next) [command, given] = [next, 0];
      else given++;
    }
  }
  return { command, given, awaited };
}

function optionNamed(command: Command, word: string): Option | undefined {
  const option = command.options.find(({ long, short }) => long === word || short === word);
  return option && (option.required || option.optional) ? option : undefined;
}

const choicesOf = ({ argChoices }: Option | Argument): Candidate[] =>
  (argChoices ?? []).map((value) => ({ value, text: "" }));

const optionsOf = (command: Command): Candidate[] =>
  command
    .createHelp()
    .visibleOptions(command)
    .map((option) => ({
      value: option.long ?? option.short ?? "",
      text: option.description,
    }));

const subcommandsOf = (command: Command): Candidate[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .map((one) => ({ value: one.name(), text: one.description() }));

async function valuesOf(args: readonly Argument[], given: number, namesOf: NamesOf): Promise<Candidate[]> {
  const argument = args[given];
  if (!argument) return [];
  return argument.argChoices ? choicesOf(argument) : namesOf(argument.name());
}
