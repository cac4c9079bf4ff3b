"""A proxy that knows requests of HTTP: it tells of each, holds it, or drops its answer while the server gets it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

__all__ = ["Meddler"]


class Meddler:
    """Stands between a client and an HTTP server.

    Args:
        target: host and port of the server.
    """

    def __init__(self, target: str) -> None:
        self.address = ""
        """Host and port for the client, while it is entered."""
        self.requests: list[str] = []
        """Method and path of every request so far."""
        self.before: Callable[[str], Awaitable[bool]] = _nothing
        """Called with method and path before the server gets a request; the connection is cut if it returns True."""
        self.after: Callable[[str], Awaitable[bool]] = _nothing
        """Called after the server has answered; the answer is dropped and the connection cut if it returns True."""
        self._target = target
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Meddler]:
        """Listens while it is entered."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as self._session:
            runner = web.ServerRunner(web.Server(self._pass), shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            self.address = f"{host}:{port}"
            try:
                yield self
            finally:
                await runner.cleanup()

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._session is not None
        said = f"{request.method} {request.path_qs}"
        body = await request.read()
        text = f"{said} {body.decode()}"
        self.requests.append(text)
        if await self.before(text):
            return _cut(request)
        headers = {name: value for name, value in request.headers.items() if name.startswith("X-Consul")}
        async with self._session.request(
            request.method, f"http://{self._target}{request.raw_path}", data=body, headers=headers
        ) as answer:
            content = await answer.read()
        if await self.after(text):
            return _cut(request)
        kept = {
            name: value for name, value in answer.headers.items() if name.startswith("X-") or name == "Content-Type"
        }
        return web.Response(status=answer.status, body=content, headers=kept)


async def _nothing(request: str) -> bool:
    return False


def _cut(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
