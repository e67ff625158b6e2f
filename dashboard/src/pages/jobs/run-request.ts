import type { mags } from "../../api/client.ts";

type Run = { script: string } & NonNullable<Parameters<typeof mags.run>[1]>;

/** What the form of a new run asks for. Throws an error with a sentence where a line of it cannot be meant. */
export function readRun(form: FormData): Run {
  const text = (name: string) => String(form.get(name) ?? "").trim() || undefined;
  const number = (name: string) => (text(name) === undefined ? undefined : Number(text(name)));
  return {
    script: String(form.get("script")),
    name: text("name"),
    persistent: form.has("persistent"),
    noSleep: form.has("no_sleep"),
    workspaceId: text("workspace"),
    baseWorkspaceId: text("base"),
    timeout: number("timeout"),
    memoryMb: number("memory"),
    vcpus: number("vcpus"),
    diskGb: number("disk"),
    rootfsType: text("image"),
    runtime: text("runtime") as Run["runtime"],
    network: networkOf(text("network"), text("hosts")),
    environment: pairs(text("environment"), "Variables"),
    secrets: pairs(text("secrets"), "Secrets"),
  };
}

function networkOf(chosen: string | undefined, hosts: string | undefined): Run["network"] {
  if (chosen === "list") return { allow: (hosts ?? "").split(/[\s,]+/).filter(Boolean) };
  return chosen === "none" ? "none" : undefined;
}

/** Lines such as NAME=value. */
function pairs(text: string | undefined, field: string): Record<string, string> | undefined {
  const lines = (text ?? "").split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) return undefined;
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw new Error(`${field}: “${line.trim()}” is not NAME=value`);
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}
