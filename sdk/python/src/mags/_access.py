from __future__ import annotations

import base64
from typing import Any, Dict, Mapping, Optional, Sequence, Union

from ._http import Http, path_of
from ._results import CommandResult, command_result
from .types import UrlAlias, UrlAliasList


class AccessCalls:
    """What is done inside of machines that are up; one that sleeps is woken."""

    _http: Http

    async def exec(
        self,
        name_or_id: str,
        command: Union[str, Sequence[str]],
        *,
        timeout: float = 30.0,
        stdin: Union[str, bytes, None] = None,
        env: Optional[Mapping[str, str]] = None,
        cwd: Optional[str] = None,
        user: Optional[str] = None,
    ) -> CommandResult:
        """Runs a command in a machine: a text by its shell, a list as program and arguments.

        ``timeout`` limits it, in seconds. A command that fails is no error: look at ``exit_code``.
        """
        body: Dict[str, Any] = {"timeout": timeout, "env": env, "cwd": cwd, "user": user}
        if isinstance(command, str):
            body["command"] = command
        else:
            body["argv"] = list(command)
        if isinstance(stdin, bytes):
            body.update(stdin=base64.b64encode(stdin).decode(), stdin_encoding="base64")
        elif stdin is not None:
            body["stdin"] = stdin
        path = path_of("jobs", name_or_id, "/exec")
        patience = timeout + self._http.settings.timeout
        # Not tried again once the server may have it: the command would run twice.
        return command_result(await self._http.call("POST", path, body=body, timeout=patience, repeatable=False))

    async def enable_access(self, request_id: str, *, port: int = 8080, **options: Any) -> Dict[str, Any]:
        """Opens a port of a persistent job: 22 answers ``ssh_host``, ``ssh_port``, ``ssh_private_key``, others a ``url``.

        ``options`` are further fields of the API, such as ``access="token"``.
        """
        path = path_of("jobs", request_id, "/access")
        return await self._http.call("POST", path, body={"port": port, **options})

    async def url(self, name_or_id: str, *, port: int = 8080, **options: Any) -> Dict[str, Any]:
        """The public ``url`` of a port of a persistent job."""
        return await self.enable_access(name_or_id, port=port, **options)

    async def url_alias_create(
        self, subdomain: str, workspace_id: str, domain: Optional[str] = None, **options: Any
    ) -> UrlAlias:
        """A stable name that follows the workspace to whichever machine holds it; returns it with its ``url``."""
        body = {**options, "subdomain": subdomain, "workspace_id": workspace_id, "domain": domain}
        return await self._http.call("POST", "/mags-url-aliases", body=body)

    async def url_alias_list(self) -> UrlAliasList:
        """``aliases`` and ``total``."""
        return await self._http.call("GET", "/mags-url-aliases")

    async def url_alias_delete(self, subdomain: str) -> Dict[str, Any]:
        return await self._http.call("DELETE", path_of("url-aliases", subdomain))
