import * as disk from "./disk.ts";
import * as processes from "./processes.ts";
import type { Random } from "./random.ts";
import * as services from "./services.ts";
import type { World } from "./world.ts";

/** What a fault hits: two of one area at once could not be told apart. */
export type Area = "machine" | "store" | "disk" | "server";

export interface Kind {
  /** as the result table has it */
  name: string;
  area: Area;
  /** how often it is struck, against the others */
  weight: number;
  /** Something goes wrong; what it says is what was hit. It is over when this resolves. */
  strike(world: World, random: Random): Promise<string>;
}

const kind = (name: string, area: Area, strike: Kind["strike"], weight = 1): Kind => ({ name, area, weight, strike });

export const kinds: Kind[] = [
  kind("kill -9 of a sandbox's first process", "machine", processes.killSandbox),
  kind("kill -9 of the shell above a script", "machine", processes.killSupervisor),
  kind("kill -9 of the container runtime", "machine", processes.killRuntime),
  kind("kill -9 of QEMU", "machine", processes.killQemu),
  kind("a script needs more memory than it has", "machine", processes.needMemory),
  kind("object store killed", "store", services.killStore),
  kind("object store hangs", "store", services.hangStore),
  kind("disk full", "disk", disk.fill),
  kind("disk stalls", "disk", disk.stall),
  kind("disk slow", "disk", disk.slow),
  kind("kill -9 of the server and agent", "server", services.killDaemon),
  kind("kill -9 of PostgreSQL", "server", services.killPostgres),
  kind("PostgreSQL stopped", "server", services.stopPostgres, 0.4),
  kind("server and agent killed, object store away", "server", services.killBoth, 0.7),
  kind("wall clock set", "server", services.setClock, 0.7),
];

/**
 * The faults of a round: one of each area at most, in random order, each after the one before is over. So a round needs one look
 * at everything, and what it finds is at most one fault's of each area.
 */
export class Rounds {
  readonly #random: Random;
  readonly #kinds: Kind[];
  /** how often each would have been struck by now, less how often it was */
  readonly #due = new Map<Kind, number>();

  constructor(random: Random, only: string) {
    this.#random = random;
    this.#kinds = kinds.filter(({ name }) => name.includes(only));
    for (const each of this.#kinds) this.#due.set(each, random.next());
  }

  next(most: number): Kind[] {
    const areas = new Map<Area, Kind>();
    for (const each of this.#kinds) {
      this.#due.set(each, (this.#due.get(each) ?? 0) + each.weight);
      const before = areas.get(each.area);
      if (!before || this.#dueOf(each) > this.#dueOf(before)) areas.set(each.area, each);
    }
    // An area with many kinds is due more often than one with few.
    const picked = this.#random.shuffled(
      [...areas.values()].sort((a, b) => this.#dueOf(b) - this.#dueOf(a)).slice(0, most),
    );
    const share = this.#kinds.reduce((sum, { weight }) => sum + weight, 0) / Math.max(1, picked.length);
    for (const each of picked) this.#due.set(each, this.#dueOf(each) - share);
    return picked;
  }

  #dueOf(each: Kind): number {
    return this.#due.get(each) ?? 0;
  }
}
