"""Where an object lives: the event loop and the process that it was started in.

Rules:

- An object that holds connections works in one event loop of one process. Used in another loop, it waits for what never
  comes. Used in a forked child, it writes to connections of the parent and breaks the parent's calls.
- ``Home.check`` finds both out before anything is sent, and costs two comparisons.
- A fork changes a number in the child, so that nobody asks the system for the process's id at each call. Systems without
  ``fork`` never change it.
"""

from __future__ import annotations

import asyncio
import os
from typing import ClassVar

__all__ = ["Home"]


class Home:
    """The running event loop, and this process.

    Args:
        whose: what is started here, for the error: ``"service 'web'"``.

    Raises:
        RuntimeError: no event loop runs here.
    """

    __slots__ = ("_at", "_loop", "_whose")

    forks: ClassVar[int] = 0
    """How many forks there are between the first process that loaded this module and this one."""

    def __init__(self, whose: str) -> None:
        self._whose = whose
        self._loop = asyncio.get_running_loop()
        self._at = Home.forks

    def check(self) -> None:
        """Returns if the caller runs in this loop and this process.

        Raises:
            RuntimeError: it does not; the message says what to do instead.
        """
        if asyncio._get_running_loop() is not self._loop or self._at != Home.forks:
            raise self._elsewhere()

    @classmethod
    def forked(cls) -> None:
        """Notes, in the child, that this process was forked."""
        cls.forks += 1

    def _elsewhere(self) -> RuntimeError:
        whose = self._whose
        if self._at != Home.forks:
            return RuntimeError(
                f"{whose} was started before this process was forked, and its connections belong to the parent process: "
                "fork before a service starts, or start the process with the method 'spawn', and start a service of its own in it"
            )
        if asyncio._get_running_loop() is None:
            return RuntimeError(
                f"{whose} runs in an asyncio event loop, and none runs here: await its clients and publishers in that loop; from "
                "another thread, use asyncio.run_coroutine_threadsafe(coroutine, loop)"
            )
        if self._loop.is_closed():
            return RuntimeError(
                f"{whose} was started in another event loop, which is closed: start it, use it and leave it in one loop, such as "
                "one asyncio.run(); with pytest-asyncio, give its fixture and the tests the same loop_scope"
            )
        return RuntimeError(
            f"{whose} was started in another event loop, and its clients and publishers work in that one alone: from another "
            "thread, use asyncio.run_coroutine_threadsafe(coroutine, loop); with pytest-asyncio, give its fixture and the tests "
            "the same loop_scope; or start a service in this loop"
        )


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=Home.forked)
