import type { Socket } from "node:net";
import type { Logger } from "@mags/kit";
import { ApiError, jobLimits, rawAnswer } from "@mags/protocol";
import { ObjectError } from "@mags/storage";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isConnectionError } from "../db/database.ts";

/** Makes every error leave as the protocol's error body; what is not ours to tell is logged and answered as `internal`. */
export function installErrorHandling(
  app: FastifyInstance,
  methodsOf: (path: string) => string[],
  logger: Logger,
): void {
  app.setErrorHandler(async (error: FastifyError | ApiError, request, reply) => {
    const answer = error instanceof ApiError ? error : translate(error);
    if (answer.status >= 500) logger.error({ err: error, request_id: request.id }, "request failed");
    const wait = answer.retryAfter ?? (answer.status === 503 ? 1 : undefined);
    if (wait !== undefined) reply.header("Retry-After", String(wait));
    return reply.status(answer.status).send(answer.toBody(request.id));
  });
  app.setNotFoundHandler(async (request, reply) => {
    const error = missing(request, methodsOf);
    if (error.code === "method_not_allowed") reply.header("Allow", methodsOf(pathOf(request)).join(", "));
    return reply.status(error.status).send(error.toBody(request.id));
  });
}

/** What Fastify would answer in its own words: paths that cannot be read or are too long. */
export function refuseUnroutable(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const answer = translate(error);
  void reply.status(answer.status).send(answer.toBody(request.id));
}

/** What is no request, or ended before it was one. */
export function refuseUnreadable(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  socket.end(rawAnswer(new ApiError("invalid_request", "the request is not well-formed HTTP, or was cut off")));
}

const pathOf = (request: FastifyRequest) => request.url.split("?")[0] ?? "/";

function missing(request: FastifyRequest, methodsOf: (path: string) => string[]): ApiError {
  const methods = methodsOf(pathOf(request));
  if (methods.length > 0)
    return new ApiError(
      "method_not_allowed",
      `${request.method} is not possible here; possible: ${methods.join(", ")}`,
    );
  return new ApiError(
    "not_found",
    `there is no ${request.method} ${pathOf(request).slice(0, 200)}; /openapi.json lists what there is`,
  );
}

function translate(error: FastifyError): ApiError {
  switch (error.code) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new ApiError(
        "too_large",
        `the request body is larger than ${jobLimits.bodyBytes} bytes (${jobLimits.bodyBytes / 1024 / 1024} MiB)`,
      );
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new ApiError("unsupported_media_type", "the body must be JSON, sent with Content-Type: application/json");
    case "FST_ERR_CTP_INVALID_JSON_BODY":
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
      return new ApiError("malformed_json", "the body is not valid JSON");
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
    case "FST_ERR_BAD_URL":
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new ApiError("invalid_request", "the request is not well-formed HTTP");
    // Numbers and times that PostgreSQL does not know, from a path, a query or a body.
    case "22003":
    case "22007":
    case "22008":
      return new ApiError(
        "invalid_request",
        "the request holds a number or a time that is larger than any there can be",
      );
    // Text that PostgreSQL cannot store, from a path or a query.
    case "22021":
    case "22P05":
      return new ApiError(
        "invalid_request",
        "the request holds text that is not valid UTF-8 or contains a NUL character",
      );
  }
  if (error.statusCode === 400 && error instanceof SyntaxError)
    return new ApiError("malformed_json", `the body is not valid JSON: ${error.message}`);
  if (error.code?.startsWith("FST_MP_") || /multipart|boundary/i.test(error.message))
    return new ApiError("invalid_request", `the form cannot be read: ${error.message}`);
  if (error instanceof ObjectError) return new ApiError("unavailable", `the object store: ${error.message}`);
  if (isConnectionError(error)) return new ApiError("unavailable", "the database does not answer at the moment");
  if (error.statusCode && error.statusCode >= 400 && error.statusCode < 500)
    return new ApiError("invalid_request", error.message);
  return new ApiError("internal", "the server failed to handle the request");
}
