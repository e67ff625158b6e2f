"""Calls of the API: retries, deadlines and errors."""

from __future__ import annotations

import json
import random
import ssl
import time
import uuid
from email.utils import parsedate_to_datetime
from typing import Any, AsyncGenerator, Callable, Dict, Mapping, Optional, Tuple
from urllib.parse import quote

import httpx

from ._config import Settings
from ._errors import MagsError
from ._transport import Transport, closing

ATTEMPTS = 5
FIRST_PAUSE = 0.2
LONGEST_CONNECT = 10.0
RETRIED = (429, 502, 503, 504)
#: errors after which the request cannot have been taken
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

#: what goes wrong below; older versions of httpx let the errors of sockets through
BROKEN = (httpx.HTTPError, httpx.InvalidURL, OSError)

#: makes the parts of a multipart body, anew for each attempt
Parts = Callable[[], Dict[str, Tuple[str, Any, str]]]


def path_of(kind: str, name: str, then: str = "") -> str:
    """``/mags-<kind>/<name><then>``, with a name that may hold anything."""
    return f"/mags-{kind}/{quote(name, safe='')}{then}"


def below(collection: str, name: str, then: str = "") -> str:
    """``<collection>/<name><then>``, with a name that may hold anything."""
    return f"{collection}/{quote(name, safe='')}{then}"


class Http:
    """One server with one token, over either transport."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self.transport = transport
        self.settings = settings

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Optional[Mapping[str, Any]] = None,
        query: Optional[Mapping[str, Any]] = None,
        parts: Optional[Parts] = None,
        raw: Optional[bytes] = None,
        content_type: str = "application/octet-stream",
        timeout: Optional[float] = None,
        repeatable: bool = True,
    ) -> Any:
        """One call with a JSON answer, ``{}`` where it is empty; ``timeout`` bounds it with all its attempts.

        It is tried again with growing pauses where that is safe: reads always, POSTs because each carries an
        Idempotency-Key. One that is not ``repeatable`` is tried again only where the server cannot have taken it.
        """
        seconds = self.settings.timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        content = encode(body) if raw is None else raw
        kind = None if content is None else "application/json" if raw is None else content_type
        headers = self._headers(method, kind)
        attempt = 0
        while True:
            attempt += 1
            try:
                files = parts() if parts else None
                request = self._request(method, path, headers, query, deadline, content=content, files=files)
                return await self._attempt(request, deadline, seconds)
            except (MagsError, *BROKEN) as cause:
                failure = self.to_error(cause, seconds)
                safe = repeatable or failure.status_code == 429 or isinstance(cause, NOT_SENT)
                pause = pause_before(failure, attempt) if safe else None
                if pause is None or attempt == ATTEMPTS or time.monotonic() + pause >= deadline:
                    raise failure from failure.__cause__
            await self.transport.sleep(pause)

    async def stream(self, path: str, headers: Mapping[str, str], silence: float) -> AsyncGenerator[bytes, None]:
        """The chunks of one connection; it fails after ``silence`` seconds without a byte. Raises MagsError."""
        all_headers = {**self._headers("GET", None), "Accept": "text/event-stream", **headers}
        request = self._request("GET", path, all_headers, None, time.monotonic() + silence)
        try:
            response = await self.transport.open(request)
            try:
                if response.status_code >= 300:
                    raise refusal(response, await self._read(response, time.monotonic() + silence))
                async with closing(self.transport.chunks(response)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            finally:
                await self.transport.leave(response)
        except BROKEN as cause:
            raise self.to_error(cause, silence) from cause

    async def upgrade(self, path: str, headers: Mapping[str, str]) -> httpx.Response:
        """A connection that no longer speaks HTTP. Raises MagsError."""
        seconds = self.settings.timeout
        deadline = time.monotonic() + seconds
        asked = {**self._headers("GET", None), "Connection": "Upgrade", **headers}
        try:
            response = await self.transport.open(self._request("GET", path, asked, None, deadline))
            if response.status_code != 101:
                try:
                    raise refusal(response, await self._read(response, deadline))
                finally:
                    await self.transport.leave(response)
            return response
        except BROKEN as cause:
            raise self.to_error(cause, seconds) from cause

    def to_error(self, cause: Exception, seconds: float) -> MagsError:
        """The error that a user sees; an error of the transport stays its cause."""
        if isinstance(cause, MagsError):
            return cause
        url = self.settings.api_url
        if isinstance(cause, httpx.TimeoutException) and not isinstance(cause, httpx.ConnectTimeout):
            hint = "Give the client a longer timeout, or look at the server's /readyz."
            failure = MagsError(f"no answer from {url} within {seconds:g} s", code="timeout", hint=hint)
        elif isinstance(cause, (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError)):
            failure = MagsError(f"the request to {url} cannot be sent: {cause}", code="bad_request")
        elif is_tls(cause):
            hint = "Its certificate must be one that this machine trusts; SSL_CERT_FILE names others."
            failure = MagsError(f"no secure connection to {url}: {cause}", code="tls", hint=hint)
        else:
            hint = "Is it running? MAGS_API_URL says where it is looked for."
            failure = MagsError(f"no answer from {url}: {cause or type(cause).__name__}", code="unreachable", hint=hint)
        failure.__cause__ = cause
        return failure

    def _headers(self, method: str, content_type: Optional[str]) -> Dict[str, str]:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.settings.api_token}"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        return headers

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        query: Optional[Mapping[str, Any]],
        deadline: float,
        **body: Any,
    ) -> httpx.Request:
        left = max(0.001, deadline - time.monotonic())
        timeout = httpx.Timeout(left, connect=min(left, LONGEST_CONNECT))
        url = f"{self.settings.api_url}/api/v1{path}"
        given = {name: value for name, value in (query or {}).items() if value is not None}
        # Parameters that are None would remove the ones of the URL in some versions of httpx.
        extra: Dict[str, Any] = {"params": given} if given else {}
        return self.transport.client.build_request(method, url, headers=headers, timeout=timeout, **extra, **body)

    async def _attempt(self, request: httpx.Request, deadline: float, seconds: float) -> Any:
        response = await self.transport.open(request)
        try:
            content = await self._read(response, deadline)
        finally:
            await self.transport.leave(response)
        if response.status_code >= 300:
            raise refusal(response, content)
        if not content:
            return {}
        try:
            body = json.loads(content)
            if not isinstance(body, dict):
                raise ValueError("it is no object")
            return body
        except ValueError as cause:
            raise MagsError(
                f"the answer is no JSON of this API: {content[:200].decode(errors='replace')}",
                response.status_code,
                code="malformed_answer",
                hint="MAGS_API_URL may name something that is no Mags server.",
            ) from cause

    async def _read(self, response: httpx.Response, deadline: float) -> bytes:
        content = bytearray()
        async with closing(self.transport.chunks(response)) as chunks:
            async for chunk in chunks:
                content += chunk
                # A read has a timeout of its own; this one is for an answer that comes drop by drop.
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout("the answer did not end in time", request=response.request)
        return bytes(content)


def pause_before(failure: MagsError, attempt: int, longest: float = float("inf")) -> Optional[float]:
    """Seconds to wait before the next attempt, with jitter; None where another one would not help."""
    if failure.code != "unreachable" and failure.status_code not in RETRIED:
        return None
    if failure.retry_after is not None:
        return failure.retry_after
    return min(longest, FIRST_PAUSE * 2.0 ** min(attempt - 1, 20)) * random.uniform(0.75, 1)


#: a field to be sent as null, which takes its value away
REMOVE = object()


def encode(body: Optional[Mapping[str, Any]]) -> Optional[bytes]:
    """JSON of the fields that were given. Raises MagsError for values that JSON does not have."""
    if body is None:
        return None
    try:
        given = {name: None if value is REMOVE else value for name, value in body.items() if value is not None}
        return json.dumps(given, allow_nan=False).encode()
    except (TypeError, ValueError) as cause:
        raise MagsError(f"an argument cannot be sent as JSON: {cause}", code="invalid_request") from cause


def is_tls(cause: Exception) -> bool:
    told = isinstance(cause, httpx.ConnectError) and any(word in str(cause) for word in ("SSL", "TLS", "certificate"))
    return told or isinstance(cause, ssl.SSLError)


def refusal(response: httpx.Response, content: bytes) -> MagsError:
    text = content.decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None  # something between us and the server answered; its text is all there is
    error = body.get("error") if isinstance(body, dict) else None
    details = error if isinstance(error, dict) else {}
    message = body.get("message") if isinstance(body, dict) else None
    return MagsError(
        str(message or f"{response.status_code}: {text[:200]}"),
        response.status_code,
        code=details.get("code"),
        hint=details.get("hint"),
        field=details.get("field"),
        request_id=details.get("request_id") or response.headers.get("x-request-id"),
        retry_after=retry_after(response.headers.get("retry-after")),
    )


def retry_after(header: Optional[str]) -> Optional[float]:
    """Seconds to wait; the header holds a number of them or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
