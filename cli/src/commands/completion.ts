import { type Command, Argument as Positional } from "commander";
import { type Candidate, complete } from "../complete.ts";
import { client } from "../config.ts";
import { printJson } from "../render/output.ts";
import { harmless } from "../render/table.ts";

/** A Tab must not be waited for longer than this, `ms`. */
const PATIENCE_MS = 1500;

/** Each asks `mags complete` for lines of value and description, and offers files where there are none. */
const scripts = {
  bash: `_mags() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "$(mags complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _mags mags
`,
  zsh: `#compdef mags
_mags() {
  local -a found
  found=("\${(@f)$(mags complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("\${(@)found//:/\\\\:}")
  found=("\${(@)found/$'\\t'/:}")
  if [[ -n "$found" ]]; then _describe mags found; else _files; fi
}
if [[ "$funcstack[1]" = _mags ]]; then _mags "$@"; else compdef _mags mags; fi
`,
  fish: `complete -c mags -a '(mags complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
};
type Shell = keyof typeof scripts;

export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print what makes a shell complete mags: commands, options, names of jobs and workspaces")
    .addArgument(new Positional("<shell>", "the shell").choices(Object.keys(scripts)))
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nExample:\n  mags completion bash >> ~/.bashrc\n  mags completion zsh > ~/.zfunc/_mags\n  mags completion fish > ~/.config/fish/completions/mags.fish",
    )
    .action((shell: Shell, { json }) => {
      if (json) printJson({ shell, script: scripts[shell] });
      else process.stdout.write(scripts[shell]);
    });
}

/** What the shells call; people have no use for it. */
export function addComplete(program: Command): void {
  program
    .command("complete", { hidden: true })
    .argument("[words...]")
    .action(async (words: string[]) => {
      const found = await complete(program, words, namesOf);
      for (const { value, text } of found) process.stdout.write(`${harmless(value)}\t${harmless(text)}\n`);
    });
}

async function namesOf(argument: string): Promise<Candidate[]> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    if (argument === "job") {
      const { jobs } = await client().list({ pageSize: 100, signal });
      return jobs.map(({ name, status }) => ({ value: name, text: status }));
    }
    if (argument === "workspace") {
      const { workspaces } = await client().workspaces.list({ signal });
      return workspaces.map(({ workspace_id: value }) => ({ value, text: "" }));
    }
  } catch {
    // No token, no server: a Tab is no place to say so.
  }
  return [];
}
