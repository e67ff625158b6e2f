import { ObjectError, type ObjectErrorCode } from "./store.ts";

/** What the SDK and Node tell of a failure. */
interface Failure extends Error {
  code?: string;
  $metadata?: { httpStatusCode?: number; attempts?: number };
}

/** Errors of a server that saw other bytes than were sent. */
export const DAMAGED_UPLOAD = ["BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"];

/** Answers of a server where two conditional writes met and neither has won yet. */
export const CONFLICTS = ["ConditionalRequestConflict", "OperationAborted"];

const CLOCK = "Set this machine's clock: it differs from the server's by more than the server allows.";
const CERTIFICATE =
  "Give the server a certificate that this machine trusts, or name its authority's in NODE_EXTRA_CA_CERTS.";
const CREDENTIALS = "Check MAGS_S3_ACCESS_KEY_ID and MAGS_S3_SECRET_ACCESS_KEY";

/** Hints for what a server calls by name; for the rest the code's own is used. */
const NAMED: Record<string, { code: ObjectErrorCode; hint: string }> = {
  NoSuchBucket: { code: "invalid", hint: "Create the bucket, or correct its name in MAGS_STORE." },
  InvalidBucketName: { code: "invalid", hint: "Correct the bucket's name in MAGS_STORE." },
  PermanentRedirect: { code: "invalid", hint: "The bucket is in another region: set MAGS_S3_REGION to it." },
  AuthorizationHeaderMalformed: { code: "invalid", hint: "The bucket is in another region: set MAGS_S3_REGION to it." },
  IllegalLocationConstraintException: { code: "invalid", hint: "Set MAGS_S3_REGION to the bucket's region." },
  NotImplemented: { code: "invalid", hint: "The server lacks what Mags needs of S3; use another." },
  QuotaExceeded: { code: "full", hint: "Raise the quota of the bucket or its user." },
  StorageFull: { code: "full", hint: "Make room on the server." },
  XMinioStorageFull: { code: "full", hint: "Make room on the server." },
  InvalidAccessKeyId: { code: "denied", hint: `${CREDENTIALS}: the server does not know this access key.` },
  SignatureDoesNotMatch: { code: "denied", hint: `${CREDENTIALS}: the secret is not the access key's.` },
  ExpiredToken: { code: "denied", hint: "The temporary credentials have run out; get new ones." },
  RequestTimeTooSkewed: { code: "denied", hint: CLOCK },
  CredentialsProviderError: { code: "denied", hint: "Set MAGS_S3_ACCESS_KEY_ID and MAGS_S3_SECRET_ACCESS_KEY." },
  RequestTimeout: { code: "unreachable", hint: "The connection to the server is slow or breaks." },
};

const HINTS: Record<ObjectErrorCode, string> = {
  not_found: "",
  aborted: "",
  denied: `${CREDENTIALS}, and that they may list the bucket and get, put and delete its objects.`,
  unreachable: "Check MAGS_S3_ENDPOINT, and that the server runs and can be reached from here.",
  busy: "The server has trouble or too much to do; try again later.",
  full: "Make room on the server.",
  invalid: "Check MAGS_STORE and MAGS_S3_ENDPOINT: this may be no S3 server, or the wrong one.",
};

/** A failure of the SDK as ObjectError. `action` says what was tried, with what and where. */
export function s3Error(action: string, error: unknown): ObjectError {
  if (error instanceof ObjectError) return error;
  const failure = error as Failure;
  const named = NAMED[failure.name];
  const code = named?.code ?? codeOf(failure);
  const tried = (failure.$metadata?.attempts ?? 1) > 1 ? ` (tried ${failure.$metadata?.attempts} times)` : "";
  const status = failure.$metadata?.httpStatusCode;
  const message = failure.message === "UnknownError" ? "" : failure.message;
  const what = [failure.name === "Error" ? "" : failure.name, message || (status && `status ${status}`)];
  return new ObjectError(code, `${action}: ${what.filter(Boolean).join(": ")}${tried}`, {
    hint: named?.hint ?? (isCertificate(failure) ? CERTIFICATE : HINTS[code]),
    retryable: (code === "unreachable" && !isCertificate(failure)) || code === "busy",
    // What a server answers may repeat the request's headers, and among them a token.
    cause: status === undefined ? error : undefined,
  });
}

function codeOf({ name, code, message, $metadata }: Failure): ObjectErrorCode {
  const status = $metadata?.httpStatusCode;
  if (name === "AbortError") return "aborted";
  if (name === "NoSuchKey" || status === 404) return "not_found";
  if (DAMAGED_UPLOAD.includes(name) || name === "DamagedBody" || /^Checksum mismatch/.test(message))
    return "unreachable";
  if (status === undefined || code !== undefined) return code || name === "TimeoutError" ? "unreachable" : "invalid";
  if (status === 507) return "full";
  if (status === 401 || status === 403) return "denied";
  if (status === 429 || status >= 500 || CONFLICTS.includes(name)) return "busy";
  return "invalid";
}

function isCertificate({ code = "" }: Failure): boolean {
  return /CERT|SIGNATURE|^ERR_(TLS|SSL)|^UNABLE_TO/.test(code);
}
