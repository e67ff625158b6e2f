/** Files of live machines, by SDK, command line and HTTP. */
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type FileChange, type MachineFiles, Mags, MagsError } from "@mags/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Daemon } from "../harness/daemon.ts";

let daemon: Daemon;
let mags: Mags;
let files: MachineFiles;
let dir: string;
const box = "files-box";

beforeAll(async () => {
  daemon = await Daemon.start();
  mags = await daemon.client();
  await mags.runAndWait("true", { name: box, persistent: true, memoryMb: 256, diskGb: 0.5 });
  files = mags.machineFiles(box);
  dir = await mkdtemp("/tmp/mags-cp-");
});
afterAll(async () => {
  await mags.stop(box).catch(() => undefined);
  await daemon.remove();
  await rm(dir, { recursive: true });
});

const sh = async (command: string) => (await mags.exec(box, command)).stdout;
const refusal = (call: Promise<unknown>) =>
  call.then(
    () => "none",
    (error: MagsError) => [error.statusCode, error.code],
  );

describe("a file", () => {
  test("is written, read, described and removed, whatever is in it and whatever it is called", async () => {
    const content = Uint8Array.from({ length: 100_000 }, (_, at) => at % 251);
    const name = "odd' \"name\n$(x) -f ü";
    await files.write(`/srv/deep/er/${name}`, content, { parents: true, mode: "640" });
    expect(Buffer.from(await files.read(`/srv/deep/er/${name}`)).equals(content)).toBe(true);
    expect(await files.stat(`/srv/deep/er/${name}`)).toMatchObject({
      name,
      type: "file",
      size: 100_000,
      mode: "640",
      uid: 0,
    });
    expect((await files.list("/srv/deep/er")).map((entry) => entry.name)).toEqual([name]);
    await files.remove(`/srv/deep/er/${name}`);
    expect(await refusal(files.stat(`/srv/deep/er/${name}`))).toEqual([404, "not_found"]);
    await files.write("-rf", "");
    expect([(await files.read("-rf")).length, await sh("ls -A /root/-rf")]).toEqual([0, "/root/-rf\n"]);
  });

  test("keeps mode and owner when it is written again, and is written through a link", async () => {
    await sh("echo old >/srv/own; chmod 750 /srv/own; chown 33:34 /srv/own; ln -sfn own /srv/link");
    await files.write("/srv/link", "new");
    expect(await sh("cat /srv/own; stat -c '%a %u %g' /srv/own; readlink /srv/link")).toBe("new750 33 34\nown\n");
    expect(await files.stat("/srv/link")).toMatchObject({ type: "symlink", target: "own" });
  });

  test("stays as it was when what is written is cut off", async () => {
    await files.write("/root/whole", "before");
    const token = await daemon.token();
    const call = request(`${daemon.url}/api/v1/mags-jobs/${box}/files?path=/root/whole`, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}`, "transfer-encoding": "chunked" },
    });
    call.on("error", () => undefined);
    call.write(Buffer.alloc(3 << 20));
    while ((await sh("ls -A /root | grep -c '^.mags'")) !== "1\n") await delay(50);
    call.destroy();
    while ((await sh("ls -A /root | grep -c '^.mags'")) !== "0\n") await delay(50);
    expect(Buffer.from(await files.read("/root/whole")).toString()).toBe("before");
  });

  test("that leads elsewhere leads elsewhere in the machine only", async () => {
    await sh("ln -sfn /etc/hostname /srv/out; ln -sfn / /srv/root");
    const hostname = await sh("cat /etc/hostname");
    for (const path of ["/srv/out", "/srv/root/etc/hostname", "/../../../../etc/hostname", "../../../etc/hostname"])
      expect(Buffer.from(await files.read(path)).toString()).toBe(hostname);
    await writeFile(join(dir, "host-only"), "secret");
    expect(await refusal(files.read(join("/srv/root", dir, "host-only")))).toEqual([404, "not_found"]);
    expect(await refusal(files.read("/proc/1/root/var/lib/mags"))).not.toBe("none");
  });

  test("is refused with the reason where it cannot be", async () => {
    expect(await refusal(files.read("/etc"))).toEqual([409, "conflict"]);
    expect(await refusal(files.read("/dev/zero"))).toEqual([409, "conflict"]);
    expect(await refusal(files.write("/etc", "x"))).toEqual([409, "conflict"]);
    expect(await refusal(files.write("/no/dir/file", "x"))).toEqual([404, "not_found"]);
    expect(await refusal(files.list("/etc/passwd"))).toEqual([409, "conflict"]);
    expect(await refusal(files.remove("/etc"))).toEqual([409, "conflict"]);
    expect(await refusal(files.read("/root/x", { user: "mallory" }))).toEqual([422, "not_started"]);
    expect(await refusal(files.read("/etc/shadow", { user: "nobody" }))).toEqual([409, "conflict"]);
    expect(await refusal(files.read(""))).toEqual([400, "invalid_request"]);
    expect(await refusal(files.write("/root/x", "x", { mode: "rwx" }))).toEqual([400, "invalid_request"]);
    expect(await refusal(mags.machineFiles("nobody-here").read("/etc/passwd"))).toEqual([404, "not_found"]);
    const { requestId } = await mags.runAndWait("true");
    expect(await refusal(mags.machineFiles(requestId).read("/etc/passwd"))).toEqual([409, "conflict"]);
  });

  test("is not for a token that may only look at jobs", async () => {
    const { body } = await daemon.http("POST", "/api/v1/tokens", { name: "looker", scopes: ["read"] });
    const looker = new Mags({ apiUrl: daemon.url, apiToken: body.token });
    expect((await looker.status(box)).status).toBe("running");
    for (const call of [looker.machineFiles(box).read("/etc/passwd"), looker.machineFiles(box).list("/")])
      expect(await refusal(call)).toEqual([403, "forbidden"]);
    await expect(looker.session(box, { onOutput: () => undefined })).rejects.toBeInstanceOf(MagsError);
  });

  test("that does not fit is refused as a full disk, and leaves nothing", async () => {
    async function* endless() {
      const block = new Uint8Array(1 << 20);
      for (let i = 0; i < 1000; i++) yield block;
    }
    expect(await refusal(files.write("/root/huge", endless()))).toEqual([507, "disk_full"]);
    expect(await sh("ls -A /root | grep -c -e huge -e '^.mags'")).toBe("0\n");
  });
});

describe("a directory", () => {
  test("is made, listed and removed with all that is in it", async () => {
    await files.makeDirectory("/srv/a/b/c", { parents: true });
    expect(await refusal(files.makeDirectory("/srv/a"))).toEqual([409, "conflict"]);
    await sh("cd /srv/a; echo 12345 >f; ln -s f l; mkfifo p");
    const entries = await files.list("/srv/a");
    expect(entries.map(({ name, type, size }) => [name, type, type === "file" ? size : 0])).toEqual([
      ["b", "directory", 0],
      ["f", "file", 6],
      ["l", "symlink", 0],
      ["p", "other", 0],
    ]);
    await files.remove("/srv/a", { recursive: true });
    expect(await refusal(files.list("/srv/a"))).toEqual([404, "not_found"]);
  });

  test("tells what changes in it", async () => {
    await sh("mkdir -p /srv/watched/sub; echo 1 >/srv/watched/old; echo 1 >/srv/watched/gone");
    const seen: FileChange[] = [];
    for await (const change of files.watch("/srv/watched", { interval: 0.2 })) {
      if (!change) await sh("cd /srv/watched; echo 22 >old; rm gone; echo 3 >sub/new");
      else seen.push(change);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([
      { change: "deleted", path: "gone", type: "file" },
      { change: "modified", path: "old", type: "file" },
      { change: "created", path: "sub/new", type: "file" },
    ]);
    while ((await sh("pgrep -fc '[m]ags-files'")) !== "0\n") await delay(100);
  });
});

describe("mags cp", () => {
  test("takes directories there and back, with links, modes and empty directories", async () => {
    const from = join(dir, "tree");
    await mkdir(join(from, "empty"), { recursive: true });
    await writeFile(join(from, "run me"), "#!/bin/sh\n", { mode: 0o755 });
    await symlink("run me", join(from, "link"));
    expect(await daemon.cli(["cp", from, `${box}:/srv`])).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await sh("cd /srv/tree && find . | sort; stat -c %a 'run me'")).toBe(".\n./empty\n./link\n./run me\n755\n");
    expect(await daemon.cli(["cp", `${box}:/srv/tree`, join(dir, "back")])).toMatchObject({ exitCode: 0, stderr: "" });
    expect((await readdir(join(dir, "back"))).sort()).toEqual(["empty", "link", "run me"]);
    expect(await readlink(join(dir, "back", "link"))).toBe("run me");
  });

  test("takes files there and back, and standard streams", async () => {
    const path = join(dir, "file");
    await writeFile(path, "content", { mode: 0o600 });
    expect((await daemon.cli(["cp", path, `${box}:/srv/copied`])).exitCode).toBe(0);
    expect(await sh("cat /srv/copied; stat -c %a /srv/copied")).toBe("content600\n");
    expect((await daemon.cli(["cp", `${box}:/srv/copied`, dir])).exitCode).toBe(0);
    expect(await readFile(join(dir, "copied"), "utf8")).toBe("content");
    expect((await daemon.cli(["cp", "-", `${box}:/srv/streamed`], { input: "in" })).exitCode).toBe(0);
    expect((await daemon.cli(["cp", `${box}:/srv/streamed`, "-"])).stdout).toBe("in");
  });

  test("says what is wrong", async () => {
    for (const [from, to, said] of [
      [`${box}:/none`, dir, "there is no /none"],
      [join(dir, "none"), `${box}:/srv`, "ENOENT"],
      ["a", "b", "<job>:<path>"],
      [dir, "nobody-here:/srv", "no job"],
    ]) {
      const result = await daemon.cli(["cp", from as string, to as string]);
      expect([result.exitCode, result.stderr]).toEqual([expect.any(Number), expect.stringContaining(said as string)]);
      expect(result.exitCode).not.toBe(0);
    }
    expect(await readdir(dir)).not.toContain("none");
  });
});
