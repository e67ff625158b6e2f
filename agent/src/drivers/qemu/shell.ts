/** `word` as a shell reads it back. */
export const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

export const words = (list: readonly string[]): string => list.map(quoted).join(" ");
