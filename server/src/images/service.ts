import { ApiError, type ImageList, NodeImage } from "@mags/protocol";
import { z } from "zod";
import type { Database } from "../db/database.ts";
import { refusal } from "../nodes/refusal.ts";
import type { Nodes } from "../nodes/service.ts";
import { usersOfImage } from "./store.ts";

/** Removing many files takes a while, `ms` */
const DEADLINE_MS = 120_000;

const NodeImages = z.object({ images: z.array(NodeImage) });

/** The images of the nodes. They belong to whoever runs the installation; every organisation's jobs may stand on them. */
export class Images {
  readonly #db: Database;
  readonly #nodes: Nodes;

  constructor(db: Database, nodes: Nodes) {
    this.#db = db;
    this.#nodes = nodes;
  }

  /** The images of every node that answers. */
  async list(): Promise<ImageList> {
    const nodes = await this.#nodes.ready();
    const asked = nodes.map(async ({ name }) => {
      const { images } = NodeImages.parse(await this.#ask(name, "GET", "images"));
      return images.map((image) => ({ node: name, ...image }));
    });
    const answers = await Promise.allSettled(asked);
    return { images: answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : [])) };
  }

  /** Begins to build or pull it. Throws ApiError unavailable where a node does not answer, invalid_request where it cannot be had. */
  async make(image: string, node: string | undefined): Promise<ImageList> {
    const names = await this.#names(node);
    const images = await Promise.all(
      names.map(async (name) => ({
        node: name,
        ...NodeImage.parse(await this.#ask(name, "POST", "images", { image })),
      })),
    );
    return { images };
  }

  /** Removes it from every node. Throws ApiError not_found, or conflict while a job or a workspace needs it. */
  async remove(image: string): Promise<void> {
    const { jobs, workspaces } = await usersOfImage(this.#db, image);
    if (jobs + workspaces > 0)
      throw new ApiError(
        "conflict",
        `image ${image} is in use by ${jobs} jobs and ${workspaces} workspaces: end and delete them first`,
        "image",
      );
    const names = await this.#names(undefined);
    const removed = names.map((name) => this.#ask(name, "POST", "images/remove", { image }));
    const failures = (await Promise.allSettled(removed)).flatMap((r) => (r.status === "rejected" ? [r.reason] : []));
    // A node that has not got it is as it should be, unless none has.
    const serious = failures.find((error) => !(error instanceof ApiError && error.code === "not_found"));
    if (serious) throw serious;
    if (failures.length === names.length) throw failures[0];
  }

  async #names(node: string | undefined): Promise<string[]> {
    const names = (await this.#nodes.ready())
      .map(({ name }) => name)
      .filter((name) => node === undefined || name === node);
    if (names.length > 0) return names;
    if (node === undefined) throw new ApiError("unavailable", "no node is ready");
    throw new ApiError("invalid_request", `there is no node ${JSON.stringify(node)} that is ready`, "node");
  }

  async #ask(node: string, method: "GET" | "POST", path: string, body?: object): Promise<unknown> {
    const init = { method, signal: AbortSignal.timeout(DEADLINE_MS) };
    const sent = body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await this.#nodes.agentFetch(node, `/agent/v1/${path}`, { ...init, ...sent }).catch((cause) => {
      throw new ApiError("unavailable", `node ${node} does not answer: ${(cause as Error).message}`);
    });
    if (!response.ok) throw await refusal(node, response);
    return response.json();
  }
}
