"""Watches: what the ``watch`` of a registry can return, whatever its engine.

The rules that they keep, and why:

- The engine only says which names changed. Each watch then reads the present nodes itself, and yields them if they
  differ from what it yielded last. So no watch yields a state that was outdated when it was asked for, or the same
  state twice in a row.
- A change that comes while a watch reads marks it again, and it reads once more. So no change is missed for good,
  whenever it comes; a consumer that is slow skips states instead of queueing them, and costs no memory.
- The first state is read at once, without waiting for a change: it is what there is now.
- A watch has one consumer. Two would each see half of the states, so the second one is refused.
- A read that fails is logged once, and tried again every second and at each change, until it works, which is logged
  too. The consumer keeps what it has: an outage of the registry never looks like an empty list of nodes.
- A read that is cancelled leaves the state unread: the next one reads it. A consumer may wait with a timeout, again and
  again.
- Watches are held weakly, so that one goes when its consumer drops it, with nothing left behind. While its consumer
  waits in it, it is held strongly, because then nothing else may refer to the waiting task, and both would be
  collected.
- Watches are woken in the order in which they were opened, never in the order of their addresses: two runs do the same.
- An owner ends its own watches. The engine may be shared with other registries, whose watches go on.
- Everything runs in the loop's thread, except the question whether there is any watch: the thread that polls an engine
  asks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableSet

from micro_rt.errors import Error
from micro_rt.kit.ordered import OrderedSet, WeakOrderedSet
from micro_rt.logs import logger
from micro_rt.node import Node

__all__ = ["Watch", "Watches"]

_RETRY = 1.0  # Seconds between two attempts to read from a registry that cannot be read.
_log = logger("micro_rt.registry")

_Read = Callable[[str], Awaitable[tuple[Node, ...]]]


class Watches:
    """The open watches of one engine.

    All methods belong to the loop's thread; only whether there are any may be asked from another.
    """

    def __init__(self) -> None:
        # Held weakly, so that a watch goes when its consumer drops it; but not while its consumer waits in it, because
        # then nothing else may refer to the waiting task.
        self._all: WeakOrderedSet[Watch] = WeakOrderedSet()
        self._by_name: dict[str, WeakOrderedSet[Watch]] = {}
        self._waiting: OrderedSet[Watch] = OrderedSet()

    def __len__(self) -> int:
        return len(self._all)

    def __bool__(self) -> bool:
        return bool(self._all)

    def open(self, name: str, read: _Read, owner: object, ended: Callable[[], None] | None = None) -> Watch:
        """Starts a watch.

        Args:
            name: what to watch.
            read: returns the present nodes of a name; called again after a while if it raises ``micro.Error``.
            owner: who ends it with ``close``.
            ended: called when it is ended, so that a read under way can return; not when it is just dropped.
        """
        for empty in [name for name, watches in self._by_name.items() if not watches]:
            del self._by_name[empty]
        watch = Watch(name, read, owner, self._waiting, ended)
        self._all.add(watch)
        self._by_name.setdefault(name, WeakOrderedSet()).add(watch)
        return watch

    def watched(self, name: str) -> bool:
        """Whether anybody watches a name."""
        return bool(self._by_name.get(name))

    def changed(self, names: Iterable[str]) -> None:
        """Says that the nodes of these names may be others now."""
        for name in names:
            for watch in self._by_name.get(name, ()):
                watch.touch()

    def all_changed(self) -> None:
        """Says that the nodes of any name may be others now."""
        for watch in self._all:
            watch.touch()

    def close(self, owner: object) -> None:
        """Ends all watches of an owner."""
        for watch in list(self._all):
            if watch.owner is owner:
                watch.end()


class Watch(AsyncIterator[tuple[Node, ...]]):
    """The nodes of a name: as they are, and again after each change; for one consumer.

    Ends with the registry, or when it is closed.
    """

    __slots__ = (
        "__weakref__",
        "_among",
        "_ended",
        "_ending",
        "_given",
        "_read",
        "_touched",
        "_troubled",
        "_waiter",
        "name",
        "owner",
    )

    def __init__(
        self, name: str, read: _Read, owner: object, among: MutableSet[Watch], ending: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.owner = owner
        self._read = read
        self._among = among
        self._ending = ending
        self._given: tuple[Node, ...] | None = None
        self._touched = True
        self._ended = False
        self._troubled = False
        self._waiter: asyncio.Future[None] | None = None

    async def __anext__(self) -> tuple[Node, ...]:
        if self in self._among:
            raise RuntimeError(f"the watch of {self.name!r} has a consumer already; open another")
        self._among.add(self)
        try:
            while not self._ended:
                if not self._touched:
                    await self._wait(None)
                    continue
                self._touched = False
                nodes = await self._look()
                if nodes is not None and nodes != self._given and not self._ended:
                    self._given = nodes
                    return nodes
            raise StopAsyncIteration
        finally:
            self._among.discard(self)

    async def aclose(self) -> None:
        """Ends it; whoever waits for the next state gets ``StopAsyncIteration``."""
        self.end()

    def end(self) -> None:
        """Ends it, from the loop's thread."""
        self._ended = True
        if self._ending is not None:
            self._ending()
        self._wake()

    def touch(self) -> None:
        """Has it look for another state, from the loop's thread."""
        self._touched = True
        self._wake()

    async def _look(self) -> tuple[Node, ...] | None:
        """Reads the present nodes; None means: not now, and it has waited a little."""
        try:
            nodes = await self._read(self.name)
        except Error as error:
            self._touched = True
            if self._ended:
                return None
            if not self._troubled:
                self._troubled = True
                _log.warning("cannot read the nodes of %r, and will try again: %s", self.name, error)
            await self._wait(_RETRY)
            return None
        except BaseException:
            self._touched = True  # Cancelled in the middle: the state is still to be read.
            raise
        if self._troubled:
            self._troubled = False
            _log.info("reading the nodes of %r works again", self.name)
        return nodes

    async def _wait(self, timeout: float | None) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((self._waiter,), timeout=timeout)
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
