import type { Socket } from "node:net";
import { join } from "@mags/kit";
import { ApiError, ErrorBody, ExecRequest, ExecResult } from "@mags/protocol";
import type { FastifyRequest } from "fastify";
import { createWebSocketStream, type WebSocket } from "ws";
import { z } from "zod";
import { noteAhead } from "../audit/hooks.ts";
import { orgOf } from "../http/auth.ts";
import { type App, type Context, hangUp, rawOf } from "../http/context.ts";
import { collect, inputOf, sessionOf, stream } from "./exec.ts";

const tags = ["access"];
const failures = { "4xx": ErrorBody, "5xx": ErrorBody };
const Params = z.object({ id: z.string().describe("Id of a job, or the name or workspace of a live one") });

/** A caller that answers no ping within this time is gone, `ms`. */
const PING_MS = 30_000;

declare module "fastify" {
  interface FastifyRequest {
    /** the session's connection to the agent, of a terminal that is about to open */
    agentSocket: Socket | undefined;
  }
}

export function accessRoutes(context: Context) {
  return async (app: App): Promise<void> => {
    execRoute(app, context);
    terminalRoute(app, context);
  };
}

function execRoute(app: App, { access, closing }: Context): void {
  app.post(
    "/mags-jobs/:id/exec",
    {
      config: { audit: "ahead" },
      schema: {
        tags,
        operationId: "exec",
        summary: "Run a command in a live machine",
        description:
          "Answers when it has ended. With Accept: text/event-stream the output comes as it is printed: `output` events and, last, `exit`; or `error` when the connection to the machine breaks. A caller that hangs up ends the command.",
        params: Params,
        body: ExecRequest,
        response: { 200: ExecResult, ...failures },
      },
    },
    async (request, reply) => {
      const signal = hangUp(reply, closing);
      const input = inputOf(request.body);
      const place = await access.find(orgOf(request), request.params.id, signal);
      noteAhead(request);
      const session = await access.open(place, sessionOf(request.body), signal);
      const leave = () => session.hangUp();
      signal.addEventListener("abort", leave, { once: true });
      try {
        if (!request.headers.accept?.includes("text/event-stream")) return await collect(session, input);
        await stream(session, input, rawOf(reply as never), { "cache-control": "no-cache, no-transform" });
        return reply.hijack();
      } finally {
        signal.removeEventListener("abort", leave);
      }
    },
  );
}

function terminalRoute(app: App, { access, closing }: Context): void {
  app.decorateRequest("agentSocket", undefined);
  app.get(
    "/mags-jobs/:id/terminal",
    {
      config: { audit: "ahead" },
      websocket: true,
      schema: {
        tags,
        operationId: "openTerminal",
        summary: "Talk to a command in a live machine (WebSocket)",
        description:
          "A WebSocket whose binary messages are the bytes of the session protocol both ways: a first frame `open` (command, terminal, environment) or `attach` (a session that was left), then input, window sizes and signals one way, output and the exit the other. Message boundaries mean nothing. Browsers, which cannot set headers, are let in by their sign-in, or by a token offered as the subprotocol `bearer.<token>` beside `mags.session`.",
        params: Params,
        response: { ...failures },
      },
      // Before the handshake, so that what is wrong is answered with a status.
      preHandler: async (request, reply) => {
        if (!request.ws)
          throw new ApiError("invalid_request", "a terminal is a WebSocket: ask for it with Upgrade: websocket");
        const signal = hangUp(reply, closing);
        const place = await access.find(orgOf(request), request.params.id, signal);
        noteAhead(request);
        await connect(request, () => access.connect(place, signal), signal);
      },
    },
    ((socket: WebSocket, request: FastifyRequest) => {
      const { agentSocket } = request;
      if (!agentSocket) return socket.terminate();
      request.agentSocket = undefined;
      keepAlive(socket);
      void join(createWebSocketStream(socket), agentSocket);
    }) as never,
  );
}

/** The handler may never run: a handshake can be wrong, or its caller gone. Then nobody else would let go of the machine. */
async function connect(request: FastifyRequest, open: () => Promise<Socket>, signal: AbortSignal): Promise<void> {
  request.agentSocket = await open();
  const letGo = () => request.agentSocket?.destroy();
  if (signal.aborted) letGo();
  signal.addEventListener("abort", letGo, { once: true });
}

function keepAlive(socket: WebSocket): void {
  let alive = true;
  socket.on("pong", () => {
    alive = true;
  });
  const timer = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, PING_MS);
  socket.once("close", () => clearInterval(timer));
}
