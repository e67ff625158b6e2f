import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { run } from "@mags/kit";

/** Makes a small system at `root`: busybox with its commands, and a user `app`. Answers it as a tar file. */
export async function smallSystem(root: string): Promise<Buffer> {
  for (const name of ["bin", "etc", "home/app", "srv", "tmp", "root"])
    await mkdir(join(root, name), { recursive: true });
  await run("cp", ["/bin/busybox", join(root, "bin")]);
  await run("/bin/busybox", ["--install", "-s", join(root, "bin")]);
  // Its links lead to where busybox is on this host.
  for (const name of await readdir(join(root, "bin"))) {
    if (name !== "busybox") await run("ln", ["-sf", "busybox", join(root, "bin", name)]);
  }
  await writeFile(join(root, "etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n");
  await run("chown", ["1000:1000", join(root, "home/app")]);
  return packed(root, `${root}.tar`);
}

/** The tree at `root` as a tar file at `path`. */
export async function packed(root: string, path: string): Promise<Buffer> {
  await run("tar", ["-cf", path, "-C", root, "."]);
  return readFile(path);
}
