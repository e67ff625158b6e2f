import { hash, verify } from "@node-rs/argon2";

// OWASP's first choice of argon2id: 19 MiB, two passes, one lane; about 20 ms, in the thread pool.
const OPTIONS = { memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 };

export const hashPassword = (password: string): Promise<string> => hash(password, OPTIONS);

/** False for a wrong password, and for whoever has none; both take as long, so that time does not tell who exists. */
export async function passwordMatches(password: string, stored: string | null): Promise<boolean> {
  decoy ??= hashPassword("nobody's");
  const matches = await verify(stored ?? (await decoy), password);
  return matches && stored !== null;
}

let decoy: Promise<string> | undefined;
