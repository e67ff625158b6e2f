import type { ApiError } from "./errors.ts";

/** An error as the bytes of an answer, for lines on which there is no request to answer: what came was none, or is one no more. */
export function rawAnswer(error: ApiError): string {
  const body = JSON.stringify(error.toBody());
  const head = [
    `HTTP/1.1 ${error.status} ${error.code}`,
    "Content-Type: application/json",
    `Content-Length: ${new TextEncoder().encode(body).length}`,
    "Connection: close",
  ];
  return `${head.join("\r\n")}\r\n\r\n${body}`;
}
