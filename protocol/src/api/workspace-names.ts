import { z } from "zod";

/** Versions are numbered from 1; a name@version has room for so many. */
export const LAST_VERSION = 999_999_999;
const NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}";

export const WorkspaceName = z
  .string()
  .regex(new RegExp(`^${NAME}$`), "must be 1 to 63 of letters, digits and . _ - and start with a letter or digit");

/** `name`, `name@latest` or `name@3`. */
export const BaseWorkspace = z
  .string()
  .regex(
    new RegExp(`^${NAME}(@(latest|[1-9]\\d{0,8}))?$`),
    "must be the name of a workspace, or name@version with a number or latest",
  );

/** The parts of a BaseWorkspace; no number means the latest version. */
export function parseBase(base: string): { name: string; number: number | undefined } {
  const [name = "", version = "latest"] = base.split("@");
  return { name, number: version === "latest" ? undefined : Number(version) };
}
