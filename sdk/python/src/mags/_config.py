from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional
from urllib.parse import urlsplit

from ._errors import MagsError

DEFAULT_URL = "http://127.0.0.1:7070"


@dataclass(frozen=True)
class Settings:
    api_token: str
    api_url: str
    #: for one call with its retries, in seconds
    timeout: float


def settings(api_token: Optional[str], api_url: Optional[str], timeout: float) -> Settings:
    """Arguments win over the environment. Raises MagsError for what cannot work."""
    token = api_token or os.environ.get("MAGS_API_TOKEN") or os.environ.get("MAGS_TOKEN")
    if not token:
        raise MagsError(
            "no API token",
            code="no_token",
            hint="Set MAGS_API_TOKEN or pass api_token; the first token is in admin.token of the server's data directory.",
        )
    url = (api_url or os.environ.get("MAGS_API_URL") or DEFAULT_URL).rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise MagsError(f"the API URL {url!r} is not of the form http://host:port", code="bad_url")
    if not timeout > 0:
        raise MagsError(f"timeout must be a positive number of seconds, not {timeout!r}", code="bad_timeout")
    return Settings(token.strip(), url, timeout)
