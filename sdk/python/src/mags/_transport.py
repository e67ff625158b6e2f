"""The two ways to reach a server: the only place where blocking and asynchronous code differ."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import AsyncGenerator, AsyncIterator, Awaitable, Generator, Optional, Protocol, TypeVar, Union, cast

import httpx

T = TypeVar("T")


class Transport(Protocol):
    """Coroutines of ``BlockingTransport`` never suspend, so that ``complete`` can run whatever is built on them."""

    @property
    def client(self) -> Union[httpx.Client, httpx.AsyncClient]: ...

    async def open(self, request: httpx.Request) -> httpx.Response:
        """Answers when the headers are there; the body has not been read."""

    def chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]: ...

    async def leave(self, response: httpx.Response) -> None: ...

    async def read(self, response: httpx.Response, most: int, timeout: Optional[float]) -> bytes:
        """Bytes of a connection that was upgraded; none at its end. Raises errors of httpcore."""

    async def write(self, response: httpx.Response, data: bytes) -> None: ...

    async def sleep(self, seconds: float) -> None: ...

    async def close(self) -> None: ...


class BlockingTransport:
    def __init__(self) -> None:
        self.client = httpx.Client()

    async def open(self, request: httpx.Request) -> httpx.Response:
        return self.client.send(request, stream=True)

    async def chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        for chunk in response.iter_bytes():
            yield chunk

    async def leave(self, response: httpx.Response) -> None:
        response.close()

    async def read(self, response: httpx.Response, most: int, timeout: Optional[float]) -> bytes:
        return cast(bytes, response.extensions["network_stream"].read(most, timeout))

    async def write(self, response: httpx.Response, data: bytes) -> None:
        response.extensions["network_stream"].write(data)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def close(self) -> None:
        self.client.close()


class AsyncTransport:
    def __init__(self) -> None:
        self.client = httpx.AsyncClient()

    async def open(self, request: httpx.Request) -> httpx.Response:
        return await self.client.send(request, stream=True)

    async def chunks(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        async for chunk in response.aiter_bytes():
            yield chunk

    async def leave(self, response: httpx.Response) -> None:
        await response.aclose()

    async def read(self, response: httpx.Response, most: int, timeout: Optional[float]) -> bytes:
        return cast(bytes, await response.extensions["network_stream"].read(most, timeout))

    async def write(self, response: httpx.Response, data: bytes) -> None:
        await response.extensions["network_stream"].write(data)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self.client.aclose()


@asynccontextmanager
async def closing(items: AsyncGenerator[T, None]) -> AsyncIterator[AsyncGenerator[T, None]]:
    """Closes a generator with the block that uses it, however that ends."""
    try:
        yield items
    finally:
        await items.aclose()


def complete(awaitable: Awaitable[T]) -> T:
    """Runs what only awaits a ``BlockingTransport``; needs no event loop and may run inside of one."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return cast(T, end.value)
    raise RuntimeError("a blocking call was suspended")


def iterate(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """The same for an asynchronous generator; leaving the iteration early closes it and with it the connection."""
    try:
        while True:
            try:
                item = complete(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        complete(items.aclose())
