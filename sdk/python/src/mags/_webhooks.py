from __future__ import annotations

from typing import Optional, Sequence

from ._http import Http, below
from .types import Delivery, DeliveryList, Webhook, WebhookDeleted, WebhookList, WebhookMade


class WebhookCalls:
    """Who is told of jobs."""

    _http: Http

    async def create_webhook(
        self, url: str, *, events: Optional[Sequence[str]] = None, description: Optional[str] = None
    ) -> WebhookMade:
        """``secret`` of the answer checks signatures; it is shown this once."""
        body = {"url": url, "events": events, "description": description}
        return await self._http.call("POST", "/webhooks", body=body)

    async def list_webhooks(self) -> WebhookList:
        return await self._http.call("GET", "/webhooks")

    async def update_webhook(
        self,
        webhook_id: str,
        *,
        url: Optional[str] = None,
        events: Optional[Sequence[str]] = None,
        description: Optional[str] = None,
        enabled: Optional[bool] = None,
    ) -> Webhook:
        body = {"url": url, "events": events, "description": description, "enabled": enabled}
        return await self._http.call("PATCH", below("/webhooks", webhook_id), body=body)

    async def delete_webhook(self, webhook_id: str) -> WebhookDeleted:
        return await self._http.call("DELETE", below("/webhooks", webhook_id))

    async def rotate_webhook(self, webhook_id: str) -> WebhookMade:
        """A new ``secret``; the one before ends."""
        return await self._http.call("POST", below("/webhooks", webhook_id, "/rotate"))

    async def test_webhook(self, webhook_id: str) -> Delivery:
        return await self._http.call("POST", below("/webhooks", webhook_id, "/test"))

    async def list_deliveries(
        self, webhook_id: str, *, state: Optional[str] = None, page: int = 1, page_size: int = 20
    ) -> DeliveryList:
        """Newest first."""
        query = {"state": state, "page": page, "page_size": page_size}
        return await self._http.call("GET", below("/webhooks", webhook_id, "/deliveries"), query=query)

    async def replay_delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        path = below("/webhooks", webhook_id, "/deliveries/")
        return await self._http.call("POST", below(path.rstrip("/"), delivery_id, "/replay"))
