/** A registry that images may be pulled from. */
export interface Registry {
  /** `host` or `host:port` */
  host: string;
  /** over HTTP instead of HTTPS */
  plain: boolean;
}

const HOST = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/;

/** Parses `host[:port],http://host[:port],…`. Throws with the entry that is none. */
export function parseRegistries(text: string): Registry[] {
  return text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "" && entry !== "none")
    .map((entry) => {
      const plain = entry.startsWith("http://");
      const host = entry.replace(/^https?:\/\//, "").replace(/\/$/, "");
      if (!HOST.test(host))
        throw new Error(`${JSON.stringify(entry)} is no registry: write its host name, with a port where it has one`);
      return { host, plain };
    });
}

/** The registry of a reference; undefined where nothing may be pulled from it. */
export const registryOf = (reference: string, registries: readonly Registry[]): Registry | undefined =>
  registries.find(({ host }) => reference.startsWith(`docker://${host}/`));
