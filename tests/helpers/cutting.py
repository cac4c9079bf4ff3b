"""A server that suites of registries can cut off: a ``FaultProxy`` before it, in a thread with an event loop of its own.

The proxy must outlast the loops of the tests, and a fixture that is no coroutine must be able to end it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import pytest

from micro_rt.testing import FaultProxy

__all__ = ["Cutter", "CutOff"]

T = TypeVar("T")


class Cutter:
    """Stands before a server from its first use on, and cuts it off."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._proxy: FaultProxy | None = None

    def through(self, url: str, address: str) -> str:
        """Returns the URL of a server by way of the proxy.

        Args:
            url: of the server.
            address: host and port in it.
        """
        self._thread = threading.Thread(target=self._loop.run_forever, name="cutter")
        self._thread.start()
        self._proxy = FaultProxy(address)
        self._run(self._proxy.__aenter__()).result()
        return url.replace(address, self._proxy.address)

    @asynccontextmanager
    async def cut(self) -> AsyncGenerator[None]:
        """Cuts the server off while it is entered."""
        assert self._proxy is not None
        await asyncio.wrap_future(self._run(self._proxy.cut()))
        try:
            yield
        finally:
            await asyncio.wrap_future(self._run(self._proxy.restore()))

    def close(self) -> None:
        """Ends the proxy."""
        if self._thread is not None:
            if self._proxy is not None:
                self._run(self._proxy.__aexit__(None, None, None)).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


class CutOff:
    """What a suite of registries overrides ``cut_off`` with, where the server is named by ``url``."""

    url: str

    @pytest.fixture(autouse=True)
    def cutter(self) -> Iterator[None]:
        self.to_cut = Cutter()
        yield
        self.to_cut.close()

    def cut_off(self) -> AbstractAsyncContextManager[None]:
        self.url = self.to_cut.through(self.url, self.url.split("/")[2].rpartition("@")[2])
        return self.to_cut.cut()
