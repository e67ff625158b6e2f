from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, TypedDict
from urllib.parse import quote, urlsplit, urlunsplit

from ._access import AccessCalls
from ._errors import MagsError
from ._jobs import JobCalls
from .types import ImageList, ImageOnNode

POLL = 0.5
DEVTOOLS = 9222


class Browser(TypedDict):
    """A Chromium in a machine of its own. Whoever has one of its addresses may drive it."""

    request_id: str
    #: WebSocket for ``connect_over_cdp`` of Playwright
    ws_endpoint: str
    #: the same
    cdp_url: str
    #: HTTP side of the DevTools, where ``/json/version`` and the like are
    cdp_http_url: str


class ImageCalls(JobCalls, AccessCalls):
    """What machines start from, and browsers."""

    async def list_images(self) -> ImageList:
        """The images of the nodes: every recipe, and every image of a registry that is on a node or was tried."""
        return await self._http.call("GET", "/mags-images")

    async def make_image(self, image: str, *, node: Optional[str] = None) -> ImageList:
        """Begins to build or pull an image and returns at once; where nothing has changed, nothing is done."""
        return await self._http.call("POST", "/mags-images", body={"image": image, "node": node})

    async def build_image(
        self,
        image: str,
        *,
        node: Optional[str] = None,
        progress: Optional[Callable[[ImageOnNode], None]] = None,
    ) -> List[ImageOnNode]:
        """Builds or pulls an image and returns when it is there; ``progress`` is called with what each node does."""
        begun = (await self.make_image(image, node=node))["images"]
        meant = {(one["image"], one["node"]) for one in begun}
        while True:
            listed = (await self.list_images())["images"]
            found = [one for one in listed if (one["image"], one["node"]) in meant]
            for one in found:
                if progress is not None:
                    progress(one)
                if one["state"] == "failed":
                    raise MagsError(f"{one['node']}: {one['error']}", code="image_unavailable")
            if len(found) == len(begun) and all(one["state"] == "ready" for one in found):
                return found
            await self._http.transport.sleep(POLL)

    async def remove_image(self, image: str) -> None:
        """Removes an image from every node; MagsError with status 409 while a job or workspace needs it."""
        await self._http.call("DELETE", f"/mags-images?image={quote(image, safe='')}")

    async def browser(self, *, timeout: float = 300.0, **options: Any) -> Browser:
        """Starts a headless Chromium in a machine that stays, and returns where to drive it when it is up.

        ``options`` are those of ``run``. The first one on a node builds the image; ``timeout`` is for all of it.
        """
        given: Dict[str, Any] = {"memory_mb": 1024, **options}
        given.update(rootfs_type="browser", persistent=True, startup_command="true")
        started = await self.run("true", **given)
        request_id = str(started["request_id"])
        job = await self.wait(request_id, timeout=timeout)
        if job["exit_code"] != 0 or job["error"] is not None:
            raise MagsError(f"the browser did not start: {job['error'] or job['status']}", code="not_started")
        opened = await self.url(request_id, port=DEVTOOLS, access="token")
        parts = urlsplit(opened["url"])._replace(path="/", query=f"mags_token={opened['token']}")
        socket = urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))
        return {
            "request_id": request_id,
            "ws_endpoint": socket,
            "cdp_url": socket,
            "cdp_http_url": urlunsplit(parts),
        }
