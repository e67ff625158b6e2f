import { CreateJoinToken, ErrorBody, JoinTokenMade, Node, NodeList, NodeRemoved, RemoveNode } from "@mags/protocol";
import { z } from "zod";
import { callerOf } from "../http/auth.ts";
import type { App, Context } from "../http/context.ts";

const tags = ["nodes"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const operator = { config: { scope: "operator" as const } };
const params = z.object({ name: z.string() });

/** For who runs the installation: nodes belong to no organisation. */
export function nodeAdminRoutes({ nodeAdmin, cluster }: Context) {
  return async (app: App): Promise<void> => {
    app.get(
      "/nodes",
      {
        ...operator,
        schema: {
          tags,
          operationId: "listNodes",
          summary: "List the nodes",
          description: "Machines that run sandboxes, with what they have to do.",
          response: { 200: NodeList, ...failures },
        },
      },
      async () => {
        const nodes = await nodeAdmin.list();
        return { nodes, total: nodes.length };
      },
    );
    app.post(
      "/nodes/:name/drain",
      {
        ...operator,
        schema: {
          tags,
          operationId: "drainNode",
          summary: "Take a node out of service, in order",
          description:
            "It gets no new work. Scripts run to their end; persistent machines sleep as soon as nobody is in them and wake on another node. It has finished when its state is drained; then the node can be stopped.",
          params,
          response: { 200: Node, ...failures },
        },
      },
      ({ params: { name } }) => nodeAdmin.drain(name, true),
    );
    app.post(
      "/nodes/:name/undrain",
      {
        ...operator,
        schema: {
          tags,
          operationId: "undrainNode",
          summary: "Put a node back into service",
          description: "It gets work again, at once.",
          params,
          response: { 200: Node, ...failures },
        },
      },
      ({ params: { name } }) => nodeAdmin.drain(name, false),
    );
    app.delete(
      "/nodes/:name",
      {
        ...operator,
        schema: {
          tags,
          operationId: "removeNode",
          summary: "Remove a node",
          description: "The token and the certificate that it was given when it joined open nothing any more.",
          params,
          querystring: RemoveNode,
          response: { 200: NodeRemoved, ...failures },
        },
      },
      async ({ params: { name }, query: { force } }) => {
        await nodeAdmin.remove(name, force === "1" || force === "true");
        return { name, removed: true as const };
      },
    );
    app.post(
      "/nodes/join-tokens",
      {
        ...operator,
        schema: {
          tags,
          operationId: "createJoinToken",
          summary: "Make a join token",
          description:
            "With it one machine becomes a node (`mags node join`). It is good for one use and a short time, and is in this answer and nowhere else.",
          body: CreateJoinToken.prefault({}),
          response: { 201: JoinTokenMade, ...failures },
        },
      },
      async (request, reply) =>
        reply.status(201).send(await cluster.createJoinToken(request.body, callerOf(request).name)),
    );
  };
}
