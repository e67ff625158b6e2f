import { access } from "node:fs/promises";
import { join } from "node:path";
import { spawn } from "@mags/kit";
import { client, imageDir, nodeName, wantedRuntime } from "../config.ts";
import { type Check, missing, ok, warn } from "./check.ts";
import { probeKvm } from "./kvm.ts";

/** What sandboxes are here and why: as the node that runs says it, else as one that is started now would have it. */
export async function runtime(): Promise<Check> {
  const name = "sandboxes";
  const said = await saidByNode();
  if (said) return ok(name, said);
  if (wantedRuntime === "container") return ok(name, "containers, by MAGS_RUNTIME");
  const kvm = await probeKvm();
  if (wantedRuntime === "auto" && !kvm.works) return ok(name, `containers, because of KVM: ${kvm.reason}`);
  const qemu = await spawn("qemu-system-x86_64", ["--version"], { reject: false });
  if (qemu.exitCode !== 0)
    return missing(name, "virtual machines are wanted, but QEMU does not run", "apt-get install qemu-system-x86");
  const built = await access(join(imageDir, ".vm", "vm.json")).then(
    () => true,
    () => false,
  );
  if (!built)
    return warn(name, "virtual machines are wanted, but there is no kernel for them yet", "npm start makes it");
  if (kvm.works) return ok(name, "virtual machines with KVM");
  return ok(name, `virtual machines under software emulation, because of KVM: ${kvm.reason}`);
}

async function saidByNode(): Promise<string | undefined> {
  try {
    const { nodes } = await client().nodes.list();
    return nodes.find((node) => node.name === nodeName)?.runtimes?.because;
  } catch {
    return undefined;
  }
}
