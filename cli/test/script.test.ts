/** `mags run script.py`: who runs a file, and what is sent for it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { json, serve } from "../../sdk/node/test/wire.ts";
import { isScriptFile, scriptOf } from "../src/script.ts";
import { home, mags } from "./golden.ts";

const of = (path: string, text: string, args: string[] = []) => {
  const { script, upload } = scriptOf(path, Buffer.from(text), args);
  return [script, upload?.name];
};

test.each([
  ["a.py", "print(1)", [], "exec python3 a.py", "a.py"],
  ["dir/a.py", "print(1)", ["x y", "--n=1"], "exec python3 a.py 'x y' --n=1", "a.py"],
  ["it's.js", "1", [], "exec node 'it'\\''s.js'", "it's.js"],
  ["tool", "#!/usr/bin/env python3\n1", ["$(id)"], "chmod +x ./tool && exec ./tool '$(id)'", "tool"],
  ["a.py", "#!/usr/bin/python3 -u\n1", [], "chmod +x ./a.py && exec ./a.py", "a.py"],
  ["a.bash", "[[ 1 ]]", [], "exec bash a.bash", "a.bash"],
  ["a.sh", "echo $1\n", ["it's"], "set -- 'it'\\''s'\necho $1\n", undefined],
  ["tool", "#!/bin/sh\necho\n", [], "#!/bin/sh\necho\n", undefined],
  ["tool", "#!/usr/bin/env sh\necho\n", [], "#!/usr/bin/env sh\necho\n", undefined],
  ["stdin", "echo\n", [], "echo\n", undefined],
])("%s, %j with %j", (path, text, args, script, upload) => {
  expect(of(path, text, args)).toEqual([script, upload]);
});

test("only files that say how they are run are taken for scripts", () => {
  const at = (name: string, text: string) => {
    writeFileSync(join(home, name), text);
    return join(home, name);
  };
  mkdirSync(join(home, "dir.py"));
  expect(isScriptFile(at("a.py", ""))).toBe(true);
  expect(isScriptFile(at("tool", "#!/bin/sh"))).toBe(true);
  expect(isScriptFile(at("ls", "text"))).toBe(false);
  expect(isScriptFile(join(home, "dir.py"))).toBe(false);
  expect(isScriptFile("echo hello > a.py")).toBe(false);
});

test("the file is uploaded with the others, and standard input may be a script of any kind", async () => {
  await using server = await serve((request, response) => {
    if (request.url?.endsWith("/mags-files")) return json(response, 201, { file_id: `f${server.seen.length}` });
    json(response, 202, { request_id: "j1", name: "n1", status: "accepted" });
  });
  const env = { MAGS_API_URL: server.url, MAGS_API_TOKEN: "secret" };
  const [script, data] = [join(home, "main.py"), join(home, "data.csv")];
  writeFileSync(script, "print(1)\n");
  writeFileSync(data, "1,2\n");
  await mags(["run", "-d", "-f", data, script, "data.csv"], env);
  await mags(["run", "-d", "-"], env, { input: "#!/usr/bin/env node\nconsole.log(1)\n" });
  const [first, second, job, third, fromStdin] = server.seen.map(({ body }) => body);
  expect(first).toContain('filename="data.csv"');
  expect(second).toContain('filename="main.py"');
  expect(JSON.parse(job!)).toEqual({ script: "exec python3 main.py data.csv", file_ids: ["f1", "f2"] });
  expect(third).toContain("#!/usr/bin/env node");
  expect(JSON.parse(fromStdin!).script).toBe("chmod +x ./stdin && exec ./stdin");
});
