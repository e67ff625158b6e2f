/** Completion as the shells do it: real bash, zsh and fish with what `mags completion` prints. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { json, serve, type WireServer } from "../../sdk/node/test/wire.ts";
import { home, mags } from "./golden.ts";

const BIN = new URL("../bin", import.meta.url).pathname;
let server: WireServer;
let env: Record<string, string>;
beforeAll(async () => {
  server = await serve((request, response) => {
    if (request.url?.includes("workspaces")) return json(response, 200, { workspaces: [{ workspace_id: "my-ws" }] });
    const jobs = [
      { name: "brave-otter", status: "running" },
      { name: "hostile \u001b[2J $(touch x)", status: "completed" },
    ];
    json(response, 200, { jobs });
  });
  env = { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" };
});
afterAll(() => server[Symbol.asyncDispose]());

const valuesOf = async (...words: string[]) =>
  String((await mags(["complete", "--", ...words], env)).stdout)
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split("\t")[0]);

test("words lead to commands, options, their values and names that the server knows", async () => {
  expect(await valuesOf("work")).toEqual(["workspace"]);
  expect(await valuesOf("workspace", "ro")).toEqual(["rollback"]);
  expect(await valuesOf("ws", "fork", "")).toEqual(["my-ws"]);
  expect(await valuesOf("run", "--on-b")).toEqual(["--on-busy"]);
  expect(await valuesOf("run", "--on-busy", "")).toEqual(["wait", "fail"]);
  expect(await valuesOf("run", "--name", "stop", "")).toEqual([]);
  expect(await valuesOf("stop", "b")).toEqual(["brave-otter"]);
  expect(await valuesOf("stop", "brave-otter", "")).toEqual([]);
  expect(await valuesOf("completion", "")).toEqual(["bash", "zsh", "fish"]);
  expect(await valuesOf("stop", "")).not.toContain(expect.stringContaining("\u001b"));
});

test("a Tab is quiet where no server answers", async () => {
  const result = await mags(["complete", "--", "stop", ""], { ...env, MAGS_API_URL: "http://127.0.0.1:1" });
  expect(result).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
});

const shell = async (program: string, args: string[]) => {
  const result = await spawn(program, args, {
    env: { ...env, HOME: home, PATH: `${BIN}:${process.env.PATH}`, TERM: "dumb", MAGS_DATA_DIR: join(home, "none") },
    extendEnv: false,
    reject: false,
  });
  return `${result.stdout}${result.stderr}`;
};

async function keep(name: string): Promise<string> {
  const path = join(home, `complete.${name}`);
  writeFileSync(path, String((await mags(["completion", name])).stdout));
  return path;
}

test("bash completes commands and names of jobs", async () => {
  const script = (...words: string[]) => `
    . ${path}
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
    _mags
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const path = await keep("bash");
  expect(await shell("bash", ["-c", script("mags", "lo")])).toBe("logs\nlogin\nlogout");
  expect(await shell("bash", ["-c", script("mags", "stop", "brave")])).toBe("brave-otter");
});

test("fish completes commands, with what they do, and names of jobs", async () => {
  const path = await keep("fish");
  const completed = await shell("fish", ["-c", `source ${path}; complete -C "mags workspace ro"`]);
  expect(completed).toBe("rollback\tmake an old version the latest again");
  expect(await shell("fish", ["-c", `source ${path}; complete -C "mags stop brave"`])).toBe("brave-otter\trunning");
});

test("zsh completes commands in a terminal", async () => {
  const path = await keep("zsh");
  const script = `
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "autoload -U compinit; compinit -u -D; . ${path}; PROMPT='READY'"
    zpty -r shell seen '*READY'
    zpty -w -n shell $'mags works\\t'
    zpty -r shell seen '*mags workspace *'
    print -r -- "$seen"`;
  const result = await spawn("timeout", ["30", "zsh", "-f", "-c", script], {
    env: { ...env, HOME: home, PATH: `${BIN}:${process.env.PATH}`, TERM: "dumb" },
    extendEnv: false,
    reject: false,
  });
  expect(String(result.stdout).replaceAll(/[\b\r]/g, "")).toContain("mags workspace ");
});
