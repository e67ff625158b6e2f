/** What the doctor says of one thing that Mags needs. */
export interface Check {
  name: string;
  state: "ok" | "warn" | "missing";
  found: string;
  /** what to do where the state is not ok */
  remedy?: string;
}

export const ok = (name: string, found: string): Check => ({ name, state: "ok", found });
export const warn = (name: string, found: string, remedy: string): Check => ({ name, state: "warn", found, remedy });
export const missing = (name: string, found: string, remedy: string): Check => ({
  name,
  state: "missing",
  found,
  remedy,
});
