import { InvalidArgumentError } from "commander";

/** A number above zero; Number alone would turn a typing error into a silent default. */
export function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError("It must be a number above 0.");
  return value;
}

/** A whole number above zero. */
export function count(text: string): number {
  const value = positive(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError("It must be a whole number.");
  return value;
}

/** Collects repeated KEY=VALUE flags; the value may hold = and be empty. */
export function keyValue(text: string, all: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError("It must look like KEY=VALUE.");
  return { ...all, [text.slice(0, equals)]: text.slice(equals + 1) };
}

/** Collects a repeated flag. */
export const list = (text: string, all: string[] = []): string[] => [...all, text];
