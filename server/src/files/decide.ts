/** Why a job cannot have the files it names, or undefined. `found` are those that are there. */
export function refuseFiles(wanted: string[], found: { id: string; name: string }[]): string | undefined {
  const names = new Map(found.map(({ id, name }) => [id, name]));
  const taken = new Map<string, string>();
  for (const id of wanted) {
    const name = names.get(id);
    if (name === undefined) return `names ${id}, but there is no such file: it has expired, or was never uploaded`;
    const other = taken.get(name);
    if (other === id) return `names ${id} twice`;
    if (other !== undefined)
      return `names two files that are both called ${JSON.stringify(name)} (${other} and ${id}): upload one of them under another name`;
    taken.set(name, id);
  }
  return undefined;
}
