const KEY = "mags-way";

/** Remembers, in this tab alone, where somebody wanted to go who is sent to another site meanwhile. */
export const keepWay = (path: string): void => sessionStorage.setItem(KEY, path);

/** Where that was, once. */
export function takeWay(): string | undefined {
  const path = sessionStorage.getItem(KEY) ?? undefined;
  sessionStorage.removeItem(KEY);
  return path;
}
