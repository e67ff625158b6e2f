/** Every command of `mags` against one daemon: each prints JSON with `--json`, and what people do with several of them. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { program } from "../../cli/src/program.ts";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
const here = mkdtempSync("/tmp/mags-cli-");
const path = (name: string) => join(here, name);

beforeAll(async () => {
  daemon = await Daemon.start({ HOME: here });
});
afterAll(async () => {
  await daemon.remove();
  rmSync(here, { recursive: true });
});

/** In this order: what one makes, a later one uses. `$1` is what `keep` took from an earlier answer. */
const walk: [args: string[], keep?: string, input?: string][] = [
  [["run", "--json", "echo hello"], "request_id"],
  [["status", "--json", "$request_id"]],
  [["logs", "--json", "$request_id"]],
  [["list", "--json"]],
  [["rerun", "--json", "$request_id"]],
  [["new", "--json", "box"]],
  [["exec", "--json", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]],
  [["cp", "--json", path("data.txt"), "box:data.txt"]],
  [["ssh", "--json", "box"]],
  [["url", "--json", "box"]],
  [["url", "alias", "add", "--json", "a-box", "box"]],
  [["url", "alias", "list", "--json"]],
  [["url", "alias", "remove", "--json", "a-box"]],
  [["set", "--json", "box", "--no-sleep"]],
  [["sync", "--json", "box"]],
  [["sleep", "--json", "box"]],
  [["wake", "--json", "box"]],
  [["resize", "--json", "box", "--disk", "3"]],
  [["workspace", "list", "--json"]],
  [["workspace", "show", "--json", "box"]],
  [["workspace", "sync", "--json", "box"]],
  [["workspace", "versions", "--json", "box"]],
  [["stop", "--json", "box"]],
  [["run", "--json", "-w", "box", "cat data.txt"]],
  [["workspace", "fork", "--json", "box", "fork"]],
  [["workspace", "verify", "--json", "fork"]],
  [["workspace", "export", "--json", "fork", "-o", path("fork.tar")]],
  [["workspace", "import", "--json", "fork", path("fork.tar"), "--path", "/srv"]],
  [["workspace", "diff", "--json", "fork@1", "fork@2"]],
  [["workspace", "rollback", "--json", "fork", "1"]],
  [["workspace", "delete", "--json", "fork"]],
  [["cron", "add", "--json", "--name", "nightly", "--disabled", "0 3 * * *", "true"]],
  [["cron", "list", "--json"]],
  [["cron", "show", "--json", "nightly"]],
  [["cron", "update", "--json", "nightly", "--retries", "2"]],
  [["cron", "enable", "--json", "nightly"]],
  [["cron", "disable", "--json", "nightly"]],
  [["cron", "run", "--json", "nightly"]],
  [["cron", "history", "--json", "nightly"]],
  [["cron", "remove", "--json", "nightly"]],
  [["file", "upload", "--json", path("data.txt")], "files.0.file_id"],
  [["file", "list", "--json"]],
  [["file", "delete", "--json", "$files.0.file_id"]],
  [["ssh-key", "add", "--json", path("key.pub")], "id"],
  [["ssh-key", "list", "--json"]],
  [["ssh-key", "remove", "--json", "$id"]],
  [["token", "create", "--json", "ci"], "token"],
  [["token", "list", "--json"]],
  [["token", "revoke", "--json", "ci"]],
  [["member", "add", "--json", "ann@example.org"]],
  [["member", "list", "--json"]],
  [["member", "set", "--json", "ann@example.org", "--role", "viewer"]],
  [["member", "invite", "--json", "ann@example.org"]],
  [["member", "delete", "--json", "ann@example.org"]],
  [["org", "create", "--json", "acme"]],
  [["org", "list", "--json"]],
  [["quota", "set", "--json", "acme", "--sandboxes", "20"]],
  [["quota", "show", "--json", "--org", "acme"]],
  [["usage", "--json", "--by", "day,token"]],
  [["secret", "set", "--json", "db-password"], undefined, "s3cret-s3cret"],
  [["secret", "list", "--json"]],
  [["secret", "delete", "--json", "db-password"]],
  [["webhook", "add", "--json", "https://hooks.invalid/mags"]],
  [["webhook", "list", "--json"], "webhooks.0.id"],
  [["webhook", "disable", "--json", "$webhooks.0.id"]],
  [["webhook", "enable", "--json", "$webhooks.0.id"]],
  [["webhook", "rotate", "--json", "$webhooks.0.id"]],
  [["webhook", "test", "--json", "$webhooks.0.id"]],
  [["webhook", "deliveries", "--json", "$webhooks.0.id"], "deliveries.0.id"],
  [["webhook", "replay", "--json", "$webhooks.0.id", "$deliveries.0.id"]],
  [["webhook", "delete", "--json", "$webhooks.0.id"]],
  [["audit", "list", "--json"]],
  [["backup", "--json", path("backup.tar.zst")]],
  [["image", "list", "--json"]],
  [["whoami", "--json"]],
  [["pool", "--json"]],
  [["node", "list", "--json"], "nodes.0.name"],
  [["node", "drain", "--json", "$nodes.0.name"]],
  [["node", "undrain", "--json", "$nodes.0.name"]],
  [["fsck", "--json"]],
  [["doctor", "--json"]],
  [["completion", "--json", "bash"]],
  [["mcp", "--json"]],
  [["logout", "--json"]],
];
/** Tested where a person signs in, where images and browsers are, where machines join and leave, where logs are proved, and where a machine is measured. */
const elsewhere = [
  "login",
  "browser",
  "image build",
  "image pull",
  "image remove",
  "node token",
  "node join",
  "node leave",
  "node remove",
  "audit export",
  "audit verify",
  "restore",
  "bench",
];
const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIX7olQSO7KElmh7MK+Qs5UnNoWS06IA2m+0gKZ5AgzV me";

test("every command prints one JSON value with --json", { timeout: 240_000 }, async () => {
  writeFileSync(path("data.txt"), "data\n");
  writeFileSync(path("key.pub"), KEY);
  const kept: Record<string, string> = {};
  for (const [args, keep, input] of walk) {
    const words = args.map((word) => (word.startsWith("$") ? (kept[word.slice(1)] as string) : word));
    const result = await daemon.cli(words, { input: input ?? "" });
    const said = `mags ${words.join(" ")}\n${result.stdout}${result.stderr}`;
    const lines = String(result.stdout).trim().split("\n");
    expect(lines.map(isJson), said).not.toContain(false);
    if (args[0] !== "logs") expect(lines, said).toHaveLength(1);
    if (args[0] === "exec")
      expect(JSON.parse(lines[0]!)).toMatchObject({ exit_code: 3, stdout: "out\n", stderr: "err\n" });
    const expected = args[0] === "exec" ? 3 : 0;
    if (args[0] !== "doctor") expect(result.exitCode, said).toBe(expected);
    if (keep) kept[keep] = keep.split(".").reduce((value, key) => value[key], JSON.parse(lines[0]!));
  }
});

test("the walk leaves no command out", () => {
  const walked = new Set(walk.map(([args]) => args.slice(0, args.indexOf("--json")).join(" ")));
  expect(
    leaves(program(), "")
      .filter((name) => !walked.has(name))
      .sort(),
  ).toEqual(elsewhere.sort());
});

test("a script file is run by what its first line or its extension says", async () => {
  writeFileSync(path("sum.py"), "import sys\nprint(sum(map(int, sys.argv[1:])), __file__)\n");
  writeFileSync(path("hello"), "#!/usr/bin/env node\nconsole.log('node', process.argv[2]); process.exit(4)\n");
  writeFileSync(path("words.sh"), 'printf "%s\\n" "$@"\n');
  expect(await daemon.cli(["run", path("sum.py"), "1", "2"])).toMatchObject({
    stdout: "3 /root/sum.py\n",
    exitCode: 0,
  });
  expect(await daemon.cli(["run", path("hello"), "a b"])).toMatchObject({ stdout: "node a b\n", exitCode: 4 });
  expect(await daemon.cli(["run", path("words.sh"), "a b", "$HOME"])).toMatchObject({ stdout: "a b\n$HOME\n" });
  const piped = await daemon.cli(["run", "-"], { input: "#!/usr/bin/python3\nprint(1 + 1)\n" });
  expect(piped).toMatchObject({ stdout: "2\n", exitCode: 0 });
});

test("--url prints where a port of the machine is, and only for a machine that stays", async () => {
  const opened = await daemon.cli(["run", "-p", "-d", "--url", "--port", "3000", "-n", "web", "true"]);
  expect(opened.stderr).toMatch(/^http:\/\/\S+\n$/);
  expect(String((await daemon.cli(["url", "web", "3000"])).stdout)).toBe(opened.stderr);
  expect(await daemon.cli(["run", "--url", "true"])).toMatchObject({ exitCode: 2 });
  expect(existsSync(path(".mags"))).toBe(false);
});

const isJson = (line: string): boolean => {
  try {
    return JSON.parse(line) !== undefined;
  } catch {
    return false;
  }
};

/** Names of all commands that do something by themselves. */
function leaves(command: ReturnType<typeof program>, prefix: string): string[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== "help")
    .flatMap((one) => {
      const name = `${prefix}${one.name()}`;
      const acts = one.commands.length === 0 || one.registeredArguments.length > 0;
      return [...(acts ? [name] : []), ...leaves(one, `${name} `)];
    });
}
