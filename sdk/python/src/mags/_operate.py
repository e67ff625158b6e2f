from __future__ import annotations

import json
from typing import Any, AsyncGenerator, Mapping, Optional, Sequence

from ._http import Http, below
from ._transport import closing
from .types import AuditEntry, AuditList, Member, MemberDeleted, MemberList, MemberMade, OrganisationQuota, Secret, SecretDeleted, SecretList, TokenList, TokenMade, Whoami


class OperateCalls:
    """Who may come in, and what they may use."""

    _http: Http

    async def whoami(self) -> Whoami:
        """Whom the server takes this client for."""
        return await self._http.call("GET", "/whoami")

    async def create_token(
        self, name: str, *, scopes: Optional[Sequence[str]] = None, expires_in_days: Optional[float] = None
    ) -> TokenMade:
        """Makes a token; its secret, ``token`` of the answer, is shown this once. ``scopes`` is ``["run"]`` by default."""
        return await self._http.call(
            "POST", "/tokens", body={"name": name, "scopes": scopes, "expires_in_days": expires_in_days}
        )

    async def list_tokens(self) -> TokenList:
        return await self._http.call("GET", "/tokens")

    async def revoke_token(self, token_id: str) -> Any:
        """From then on no server takes it."""
        return await self._http.call("DELETE", below("/tokens", token_id))

    async def list_members(self) -> MemberList:
        """The people of the organisation."""
        return await self._http.call("GET", "/members")

    async def add_member(
        self, email: str, *, name: Optional[str] = None, role: Optional[str] = None, password: Optional[str] = None
    ) -> MemberMade:
        """Without a password ``invite`` of the answer is a link to hand on; it is shown this once."""
        return await self._http.call(
            "POST", "/members", body={"email": email, "name": name, "role": role, "password": password}
        )

    async def update_member(
        self,
        member_id: str,
        *,
        name: Optional[str] = None,
        role: Optional[str] = None,
        disabled: Optional[bool] = None,
    ) -> Member:
        return await self._http.call(
            "PATCH", below("/members", member_id), body={"name": name, "role": role, "disabled": disabled}
        )

    async def delete_member(self, member_id: str) -> MemberDeleted:
        """With the member's tokens and sign-ins."""
        return await self._http.call("DELETE", below("/members", member_id))

    async def invite_member(self, member_id: str) -> MemberMade:
        """A new link, also for a lost password; the one before ends."""
        return await self._http.call("POST", below("/members", member_id, "/invite"))

    async def list_audit(
        self,
        *,
        before_seq: Optional[int] = None,
        limit: int = 50,
        action: Optional[str] = None,
        actor: Optional[str] = None,
        target: Optional[str] = None,
    ) -> AuditList:
        """Who did what: ``entries``, newest first, ``head`` and ``next``."""
        query = {"before_seq": before_seq, "limit": limit, "action": action, "actor": actor, "target": target}
        return await self._http.call("GET", "/audit", query=query)

    async def export_audit(self, *, from_seq: int = 1) -> AsyncGenerator[AuditEntry, None]:
        """Yields all entries from ``from_seq`` on, oldest first."""
        path = f"/audit/export?from_seq={from_seq}"
        rest = b""
        async with closing(self._http.stream(path, {"Accept": "*/*"}, silence=60.0)) as chunks:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)

    async def get_quota(self, organisation: Optional[str] = None) -> OrganisationQuota:
        """``limits`` and ``used`` of the own organisation, or for who runs the server of any."""
        path = "/quota" if organisation is None else below("/organisations", organisation, "/quota")
        return await self._http.call("GET", path)

    async def update_quota(self, organisation: str, limits: Mapping[str, Optional[float]]) -> OrganisationQuota:
        """For who runs the server; ``None`` takes a limit back to the server's default."""
        raw = json.dumps(dict(limits)).encode()
        path = below("/organisations", organisation, "/quota")
        return await self._http.call("PATCH", path, raw=raw, content_type="application/json")

    async def list_secrets(self) -> SecretList:
        """Names and versions; values are never read back."""
        return await self._http.call("GET", "/secrets")

    async def set_secret(self, name: str, value: str) -> Secret:
        """Makes a new version."""
        return await self._http.call("PUT", below("/secrets", name), body={"value": value}, repeatable=False)

    async def delete_secret(self, name: str) -> SecretDeleted:
        """With all versions."""
        return await self._http.call("DELETE", below("/secrets", name))
