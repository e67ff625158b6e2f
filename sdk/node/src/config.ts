/** Settings from the environment, each overridden by the constructor's options. */
export const environment = () => {
  // A browser has none.
  const { process } = globalThis as { process?: { env: Record<string, string | undefined> } };
  const env = process?.env ?? {};
  return {
    apiToken: env.MAGS_API_TOKEN || env.MAGS_TOKEN || undefined,
    apiUrl: env.MAGS_API_URL || "http://127.0.0.1:7070",
  };
};
