"""The links of registry ``mdns:``: one for each interface, opened and closed as interfaces come and go.

The rules that it keeps, and why:

- It looks at the interfaces when the system reports a change, and every few seconds (kit/interfaces.py). A link belongs to an
  interface by its index and address: an interface that goes and comes back between two looks has another index.
- A link that cannot send because its interface or address is gone is closed and opened anew at the next look. That look comes at
  once if the link has worked before, and before a registration or a renewal fails. A link that has never worked waits
  for a report, so that a cable that is pulled does not make it try for ever.
- One interface that works is enough; only if none works, there is a problem.
- At the start, an IPv6 address that the system still checks for duplicates is waited for, if there is nothing else: a machine that
  boots must not fail to start its services. Later, the system reports when the check is over.
- On links that were opened, everything is announced and asked again: those who are reached there may have heard nothing yet.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from micro_rt.backends.mdns.interfaces import Interface, interfaces_of
from micro_rt.backends.mdns.link import Link, Source
from micro_rt.kit.clock import loop_time
from micro_rt.kit.interfaces import InterfaceWatch
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger

__all__ = ["Links"]

SOON = 1.0
"""Seconds from one look to the next, if a packet that cannot be sent is the reason."""

CHECKED = 5.0
"""Seconds at the start until an IPv6 address must be usable; Linux checks for one or two."""
CHECK_AGAIN = 0.1
"""Seconds between two tries to use such an address."""

_log = logger("micro_rt.registry")


class Links:
    """The links to all networks.

    Args:
        interface: the name or the address of the only one; if empty, all.
        port: where everybody listens.
        receive: gets every packet, where it came from, and its link.
        joined: called when links were opened, and those who are there are to hear and be asked everything.
    """

    def __init__(
        self, interface: str, port: int, receive: Callable[[bytes, Source, Link], None], joined: Callable[[], None]
    ) -> None:
        self._interface = interface
        self._port = port
        self._receive = receive
        self._joined = joined
        self._links: dict[Interface, Link] = {}
        self._trouble = ""
        self._unusable = False
        """Whether an IPv6 address was there at the last look, and could not be used yet."""
        self._watch = InterfaceWatch(self._look_now)
        self._looks = TaskSet[None]()
        self._look: asyncio.Task[None] | None = None
        self._again = False
        self._soon: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._links)

    async def open(self) -> None:
        """Opens the links; those that cannot be opened are tried again when the interfaces change."""
        try:
            await self._watch.open()
            await self.look()
            until = loop_time() + CHECKED
            while not self._links and self._unusable and loop_time() < until:
                await asyncio.sleep(CHECK_AGAIN)
                await self.look()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Closes the links."""
        await self._watch.close()
        if self._soon is not None:
            self._soon.cancel()
        await self._looks.end()
        for link in self._links.values():
            await link.close()
        self._links.clear()

    @property
    def problem(self) -> str:
        """Why nothing can be sent; empty as long as one link works."""
        problems = [link.problem for link in self._links.values()]
        return ("; ".join(problems) or self._trouble) if all(problems) else ""

    @property
    def trouble(self) -> str:
        """Why there are no links, or not all of them."""
        return self._trouble

    def tell(self, packet: bytes) -> bool:
        """Sends a packet on every link; returns whether one has taken it."""
        outcomes = [link.tell(packet) for link in self._links.values()]
        return any(outcomes)

    def ask(self, packet: bytes) -> None:
        """Sends a question on every link, whose answers come back to here alone."""
        for link in self._links.values():
            link.ask(packet)

    async def look(self) -> None:
        """Looks at the interfaces, and returns when the links are those of the interfaces that are there."""
        self._look_now()
        while self._look is not None:
            await asyncio.wait((self._look,))

    def _look_now(self) -> None:
        self._again = True
        if self._look is None:
            self._look = self._looks.start(self._look_again(), name="look at interfaces")

    async def _look_again(self) -> None:
        try:
            while self._again:
                self._again = False
                await self._use_what_is_there()
        finally:
            self._look = None

    async def _use_what_is_there(self) -> None:
        try:
            found = interfaces_of(self._interface)
        except OSError as error:
            _log.warning("mdns: cannot look at the interfaces: %s", error)
            return
        self._trouble = "" if found else self._nothing()
        self._unusable = False
        for interface, link in list(self._links.items()):
            if interface not in found or link.broken:
                del self._links[interface]
                await link.close()
        opened = False
        for interface in found:
            if interface not in self._links:
                opened |= await self._open(interface)
        if opened:
            self._joined()

    async def _open(self, interface: Interface) -> bool:
        link = Link(interface, self._port, self._receive, self._failed)
        try:
            await link.open()
        except OSError as error:
            self._trouble = f"cannot use multicast on {interface}: {error}"
            self._unusable |= interface.is_ipv6 and error.errno == errno.EADDRNOTAVAIL
            return False
        self._links[interface] = link
        return True

    def _failed(self, link: Link) -> None:
        """Looks soon because a link that worked cannot send any more."""
        if link.worked and self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(SOON, self._look_soon)
            self._look_now()

    def _look_soon(self) -> None:
        self._soon = None
        self._look_now()

    def _nothing(self) -> str:
        if not self._interface:
            return "there is no interface with an IPv4 or IPv6 address: connect this machine to a network"
        there = ", ".join(dict.fromkeys(map(str, interfaces_of("")))) or "no other"
        return f"{self._interface!r} is neither the name nor an address of an interface here; there is {there}"
