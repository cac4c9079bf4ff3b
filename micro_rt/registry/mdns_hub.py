"""How registry ``mdns:`` works: what one process tells, hears, asks and knows of the nodes on its networks.

Everybody announces nodes to everybody, again with each heartbeat, and keeps what is announced for as long as it is said to
hold; so what is known needs no question. The network is asked when a name is looked up first, when nobody is known to
serve it, and before something that is of interest runs out: go-micro announces a node once and then answers questions.

Each registration has a stamp, and of one id the latest counts. So a packet that is late does not bring back what is gone,
and a process whose node's id somebody else took hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import math
import random
import re
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from micro_rt.engines.clock import Clock
from micro_rt.errors import Unavailable
from micro_rt.node import Node
from micro_rt.registry.base import Lease, LeaseLost, Registration
from micro_rt.registry.mdns_link import Link, Outbox, addresses_of
from micro_rt.registry.mdns_records import NO_STAMP, Asked, Domain, Heard, Own, Stamp, label_of, query, read
from micro_rt.registry.watch import Watches

__all__ = ["Hub", "MdnsLease", "Place"]

PATIENCE = 1.0
"""Seconds to wait for an answer about a name that nobody is known to serve."""
PATIENCE_AGAIN = 0.1
"""Seconds to wait when that is asked again: what came meanwhile, or is late, was heard or will be."""
FIRST_LOOK = 0.3
"""Seconds to wait for others besides those who are known, when a name is asked for first."""
QUIET = 0.2
"""Seconds without a further answer after which the last one is taken for the last."""
QUESTIONS = (0.0, 0.2, 0.5, 1.5, 4.0)
"""Seconds after which a question is asked, and asked again; then every ``REPEAT``."""
REPEAT = 60.0
INTEREST = 300.0
"""Seconds that a name is kept fresh after it was asked for last; and as long as it is watched."""
REFRESH = (0.8, 0.87, 0.94)
"""Parts of the time that a node holds after which the others are asked whether it is still there."""
MAX_TTL = 4500
"""Seconds; nobody is believed for longer."""
MAX_HEARD = 10_000
"""Nodes of others, of all names together: who floods the network fills no more memory than this."""
LISTING_PATIENCE = 0.5
"""Seconds to wait for an answer to the question for all names."""
LISTING_INTEREST = 10.0
"""Seconds in which asking for all names again is asking about the same."""
LISTING_TTL = 120
"""Seconds; go-micro's, of the answer to the question for all names."""
FAREWELL = 0.2
"""Seconds between the two goodbyes; the first may get lost."""
LATE = 10.0
"""Seconds by which an announcement may come later than the goodbye."""
RESCAN = 10.0
"""Seconds between two looks at the interfaces of this machine."""

_log = logging.getLogger("micro_rt.registry")


@dataclass(frozen=True, slots=True)
class Place:
    """Where nodes meet."""

    interface: str
    """Name or IPv4 address; empty: all."""
    domain: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine is there."""
        try:
            return ipaddress.ip_address(self.interface).is_loopback
        except ValueError:
            return re.fullmatch("lo[0-9]*", self.interface) is not None


class MdnsLease(Lease):
    """A registration of this process.

    Args:
        hub: returns the hub, or raises if it is not open any more.
        registration: the node and its names.
        ttl: seconds that it stays listed without being renewed.
        domain: where.
        ip: the address of the node's host.
        stamp: which registration it is.
    """

    def __init__(
        self, hub: Callable[[], Hub], registration: Registration, ttl: float, domain: Domain, ip: str, stamp: Stamp
    ) -> None:
        self._hub = hub
        self.id = registration.node.id
        self.own = {name: Own.of(domain, name, registration.node, ip, stamp) for name in registration.names}
        self.stamp = stamp
        self.ttl = ttl
        self.expires = 0.0
        self.announced = 0.0
        self.again = math.inf
        """When to announce it once more, for those who did not hear the first time."""

    async def renew(self) -> None:
        """Starts the time to live anew, and says so to everybody."""
        self._hub().renew(self)

    async def revoke(self) -> None:
        """Says goodbye."""
        self._hub().remove(self)


@dataclass(slots=True)
class _Entry:
    """A node under one name, as somebody announced it."""

    node: Node
    stamp: Stamp
    ttl: float
    expires: float
    refresh: float
    refreshed: int = 0


@dataclass(slots=True)
class _Question:
    """What the network is asked, again and again."""

    service: str
    """Whose nodes; empty: for all names."""
    until: float
    """When nobody is interested any more, unless somebody watches."""
    started: float = 0.0
    asked: int = 0
    next: float = math.inf
    heard: float = 0.0
    patience: float = PATIENCE
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Hub:
    """What the registries of one place share.

    Args:
        place: where.
        clock: what leases are measured with.
    """

    def __init__(self, place: Place, clock: Clock) -> None:
        self.watches = Watches()
        self.domain = Domain(place.domain)
        self._place = place
        self._now = clock.now
        # Where it reaches.
        self._links: dict[str, Link] = {}
        self._trouble = ""
        self._outbox = Outbox()
        self._scanning: asyncio.Task[None] | None = None
        # Our own nodes, by their names, and by what they are called in DNS, in lower case.
        self._leases: dict[str, MdnsLease] = {}
        self._own: dict[str, dict[str, Own]] = {}
        self._services: dict[str, set[str]] = {}
        self._instances: dict[str, dict[str, Own]] = {}
        self._farewells: list[tuple[float, bytes]] = []
        # What others say.
        self._heard: dict[str, dict[str, _Entry]] = {}
        self._heard_size = 0
        self._full = False
        self._gone: dict[tuple[str, str], tuple[Stamp, float]] = {}
        self._labels: set[str] = set()
        self._sorted: dict[str, tuple[Node, ...]] = {}
        self._questions: dict[str, _Question] = {}
        # When to do what.
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf
        self._rescan = math.inf

    async def open(self) -> None:
        """Joins the others.

        Raises:
            Unavailable: there is no interface for it.
        """
        await self._scan()
        if not self._links:
            raise Unavailable(f"registry mdns: {self._trouble}", id="micro.registry_unavailable")

    async def close(self) -> None:
        """Leaves; what is registered is not answered for any more, and runs out."""
        if self._timer is not None:
            self._timer.cancel()
        if self._scanning is not None:
            self._scanning.cancel()
            await asyncio.wait((self._scanning,))
        for _, packet in self._farewells:
            self._tell(packet)
        self._outbox.close()
        for link in self._links.values():
            await link.close()

    @property
    def problem(self) -> str:
        """Why nothing can be sent; empty as long as one interface works."""
        problems = [link.problem for link in self._links.values()]
        return ("; ".join(problems) or self._trouble) if all(problems) else ""

    # Our own nodes

    def next_stamp(self, id: str) -> Stamp:
        """Returns a stamp that is later than that of any registration of this id that is known."""
        known = [entries[id].stamp[0] for entries in self._heard.values() if id in entries]
        if id in self._leases:
            known.append(self._leases[id].stamp[0])
        return max([time.time_ns() // 1000, *(number + 1 for number in known)]), uuid.uuid4().hex[:8]

    def add(self, lease: MdnsLease) -> None:
        """Lists a node, in place of what it was registered as before.

        Raises:
            Unavailable: it can be told to nobody.
        """
        before = self._leases.get(lease.id)
        if before is not None:
            self._drop(before, goodbye=before.own.keys() - lease.own.keys())
        self._leases[lease.id] = lease
        lease.expires = self._now() + lease.ttl
        for name, own in lease.own.items():
            self._own.setdefault(name, {})[lease.id] = own
            self._services.setdefault(self.domain.service(name).lower(), set()).add(name)
            self._instances.setdefault(self.domain.instance(name, lease.id).lower(), {})[name] = own
        others = [name for name, entries in self._heard.items() if lease.id in entries]
        for name in others:
            self._forget(name, lease.id)
        self._changed({*lease.own, *others})
        self._announce(lease)
        lease.again = lease.announced + 1.0
        self._wait_for(min(lease.again, lease.expires))
        try:
            self._check(lease)
        except Unavailable:
            self._drop(lease, goodbye=())
            raise

    def renew(self, lease: MdnsLease) -> None:
        """Keeps a node listed.

        Raises:
            LeaseLost: it is not listed.
            Unavailable: it can be told to nobody.
        """
        self._work()
        if self._leases.get(lease.id) is not lease:
            raise LeaseLost(f"the lease of {lease.id} ran out, or another replaced it")
        now = self._now()
        lease.expires = now + lease.ttl
        # Everybody hears it, so not more often than it takes, however eager the caller is.
        if now - lease.announced >= min(1.0, lease.ttl / 4):
            self._announce(lease)
            self._check(lease)

    def remove(self, lease: MdnsLease) -> None:
        """Lists a node no more, and tells everybody; does nothing if it is not listed."""
        if self._leases.get(lease.id) is lease:
            self._drop(lease, goodbye=lease.own)

    def _drop(self, lease: MdnsLease, goodbye: Iterable[str]) -> None:
        del self._leases[lease.id]
        for name in lease.own:
            instance = self.domain.instance(name, lease.id).lower()
            del self._instances[instance][name]
            if not self._instances[instance]:
                del self._instances[instance]
            del self._own[name][lease.id]
            if not self._own[name]:
                del self._own[name]
                service = self.domain.service(name).lower()
                self._services[service].discard(name)
                if not self._services[service]:
                    del self._services[service]
        for name in goodbye:
            packet = lease.own[name].announcement(0)
            self._tell(packet)
            self._farewells.append((self._now() + FAREWELL, packet))
            self._wait_for(self._farewells[0][0])
        self._changed(lease.own)

    def _announce(self, lease: MdnsLease) -> None:
        lease.announced = self._now()
        lease.again = math.inf
        for own in lease.own.values():
            self._tell(own.announcement(self._left(lease)))

    def _check(self, lease: MdnsLease) -> None:
        if self.problem:
            raise Unavailable(
                f"registry mdns: {lease.id} cannot be announced: {self.problem}", id="micro.registry_unavailable"
            )

    def _left(self, lease: MdnsLease) -> int:
        # Not the whole time to live: who does not renew any more must not live on by the answers that are given for it.
        return max(1, math.ceil(lease.expires - self._now()))

    # Looking up

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, having asked for it unless some are known and kept fresh."""
        nodes = self._nodes(name)
        question = self._question(label_of(name))
        if question is None or not nodes:
            question = self._ask(label_of(name), name, INTEREST)
        question.until = max(question.until, self._now() + INTEREST)
        await self._hear_out(question, FIRST_LOOK if nodes else PATIENCE)
        return self._nodes(name)

    async def look(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name for a watch, which sees those that come later as soon as they come."""
        if self._question(label_of(name)) is None:
            await self._hear_out(self._ask(label_of(name), name, INTEREST), FIRST_LOOK)
        return self._nodes(name)

    async def names(self) -> dict[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        await self._hear_out(self._ask("", "", LISTING_INTEREST), LISTING_PATIENCE)
        unasked = [label for label in self._labels if self._question(label) is None]
        for question in [self._ask(label, label, LISTING_INTEREST) for label in unasked]:
            await self._hear_out(question, LISTING_PATIENCE)
        found = {name: self._nodes(name) for name in sorted(self._heard.keys() | self._own.keys())}
        return {name: nodes for name, nodes in found.items() if nodes}

    def _question(self, label: str) -> _Question | None:
        """Returns what is asked about a name, if it is still being asked."""
        question = self._questions.get(label)
        return question if self._is_of_interest(question, self._now()) else None

    def _ask(self, label: str, service: str, interest: float) -> _Question:
        """Asks who serves a name, unless that was asked just now."""
        now = self._now()
        question = self._question(label)
        if question is None:
            question = self._questions[label] = _Question(service, now + interest)
        elif now < question.started + question.patience:
            return question
        else:
            question.patience = PATIENCE_AGAIN
        question.started = now
        question.asked = 0
        question.answered.clear()
        self._ask_again(label, question)
        return question

    def _ask_again(self, label: str, question: _Question) -> None:
        question.asked += 1
        if question.asked < len(QUESTIONS):
            question.next = question.started + QUESTIONS[question.asked]
        else:
            question.next = self._now() + REPEAT * random.uniform(0.9, 1.1)
        self._wait_for(question.next)
        self._send_question(label)

    def _send_question(self, label: str) -> None:
        packet = query(label + self.domain.suffix if label else self.domain.services)
        for link in self._links.values():
            self._outbox.put(partial(link.ask, packet))

    async def _hear_out(self, question: _Question, patience: float) -> None:
        """Waits until the answers to a question are there, as far as one can tell."""
        rest = question.started + min(patience, question.patience) - self._now()
        if rest <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest):
                await question.answered.wait()
                quiet = QUIET
                while quiet > 0:
                    await asyncio.sleep(quiet)
                    quiet = question.heard + QUIET - self._now()

    def _is_of_interest(self, question: _Question | None, now: float) -> bool:
        return question is not None and (now < question.until or self.watches.watched(question.service))

    # What is known

    def _nodes(self, name: str) -> tuple[Node, ...]:
        self._work()
        nodes = self._sorted.get(name)
        if nodes is None:
            found = {id: entry.node for id, entry in self._heard.get(name, {}).items()}
            found.update({id: own.node for id, own in self._own.get(name, {}).items()})
            if not found:
                return ()
            nodes = self._sorted[name] = tuple([found[id] for id in sorted(found)])
        return nodes

    def _forget(self, name: str, id: str) -> bool:
        """Drops what others said of a node; returns whether there was something."""
        entries = self._heard.get(name, {})
        if entries.pop(id, None) is None:
            return False
        self._heard_size -= 1
        if not entries:
            del self._heard[name]
        return True

    def _changed(self, names: Iterable[str]) -> None:
        for name in names:
            self._sorted.pop(name, None)
        self.watches.changed(names)

    # Hearing and answering

    def _received(self, data: bytes, source: tuple[str, int], link: Link) -> None:
        message = read(data, self.domain, source[1], self._place.port)
        if message.questions and not link.is_own(source):
            for asked in message.questions:
                self._answer(asked, source, link)
        if message.names and "" in self._questions:
            if len(self._labels) < MAX_HEARD:
                self._labels.update(message.names)
            self._answered("")
        for heard in message.nodes:
            self._hear(heard)

    def _hear(self, heard: Heard) -> None:
        name, id, now = heard.name, heard.node.id, self._now()
        lease = self._leases.get(id)
        if lease is not None:
            if heard.stamp > lease.stamp:
                self._drop(lease, goodbye=lease.own)
            else:
                # Our own voice; or one who does not know yet that the id is another's now, and has to be told.
                if heard.ttl and heard.stamp < lease.stamp and now - lease.announced > 0.2:
                    self._announce(lease)
                return
        entry = self._heard.get(name, {}).get(id)
        if heard.stamp != NO_STAMP:
            gone, _ = self._gone.get((name, id), (NO_STAMP, 0.0))
            if heard.stamp <= gone or (entry is not None and heard.stamp < entry.stamp):
                return
        if not heard.ttl:
            if heard.stamp != NO_STAMP and len(self._gone) < MAX_HEARD:
                self._gone[name, id] = heard.stamp, now + LATE
                self._wait_for(now + LATE)
            if self._forget(name, id):
                self._changed((name,))
            return
        if entry is None:
            if self._heard_size >= MAX_HEARD:
                if not self._full:
                    self._full = True
                    _log.warning("mdns: more than %d nodes are announced; the others are left out", MAX_HEARD)
                return
            self._heard_size += 1
        ttl = min(heard.ttl, MAX_TTL)
        refresh = now + ttl * (REFRESH[0] + random.uniform(0, 0.02))
        self._heard.setdefault(name, {})[id] = _Entry(heard.node, heard.stamp, ttl, now + ttl, refresh)
        self._wait_for(refresh)
        self._answered(label_of(name))
        if entry is None or entry.node != heard.node:
            self._changed((name,))

    def _answered(self, label: str) -> None:
        question = self._questions.get(label)
        if question is not None:
            question.heard = self._now()
            question.answered.set()

    def _answer(self, asked: Asked, source: tuple[str, int], link: Link) -> None:
        self._work()
        name = asked.name.lower()
        if asked.is_for_nodes and name == self.domain.services.lower():
            for owns in self._own.values():
                self._reply(next(iter(owns.values())).listing(asked, LISTING_TTL), asked, source, link)
        if asked.is_for_nodes:
            for service in self._services.get(name, ()):
                for own in self._own[service].values():
                    self._reply(self._answer_of(own, asked), asked, source, link)
        if asked.is_for_a_node:
            for own in self._instances.get(name, {}).values():
                self._reply(self._answer_of(own, asked), asked, source, link)

    def _answer_of(self, own: Own, asked: Asked) -> bytes:
        return own.answer(asked, self._left(self._leases[own.node.id]))

    def _reply(self, packet: bytes, asked: Asked, source: tuple[str, int], link: Link) -> None:
        self._outbox.put(partial(link.reply, packet, source) if asked.unicast else partial(link.tell, packet))

    def _tell(self, packet: bytes) -> None:
        for link in self._links.values():
            self._outbox.put(partial(link.tell, packet))

    # When to do what

    def _work(self) -> None:
        """Does what is due; costs one look at the clock if nothing is."""
        now = self._now()
        if now < self._due:
            return
        self._due = math.inf
        for lease in list(self._leases.values()):
            if lease.expires <= now:
                self._drop(lease, goodbye=lease.own)
            elif lease.again <= now:
                self._announce(lease)
        for _, packet in [each for each in self._farewells if each[0] <= now]:
            self._tell(packet)
        self._farewells = [each for each in self._farewells if each[0] > now]
        self._look_after_others(now)
        for label, question in list(self._questions.items()):
            if not self._is_of_interest(question, now):
                del self._questions[label]
                if not label:
                    self._labels.clear()
            elif question.next <= now:
                self._ask_again(label, question)
        self._gone = {key: (stamp, until) for key, (stamp, until) in self._gone.items() if now < until}
        if self._rescan <= now and self._scanning is None:
            self._rescan = math.inf
            self._scanning = asyncio.get_running_loop().create_task(self._scan(), name="look at interfaces")
            self._scanning.add_done_callback(self._scanned)
        self._wait_for(self._next())

    def _look_after_others(self, now: float) -> None:
        """Drops what ran out, and asks for what is of interest and soon will."""
        labels: set[str] = set()
        lost: dict[str, list[str]] = {}
        for name, entries in self._heard.items():
            for id, entry in entries.items():
                if entry.expires <= now:
                    lost.setdefault(name, []).append(id)
                elif entry.refresh <= now:
                    entry.refreshed += 1
                    rest = REFRESH[entry.refreshed :]
                    entry.refresh = entry.expires - entry.ttl * (1 - rest[0]) if rest else math.inf
                    labels.add(label_of(name))
        for name, ids in lost.items():
            for id in ids:
                self._forget(name, id)
            labels.add(label_of(name))
        self._changed(lost)
        for label in labels:
            if self._is_of_interest(self._questions.get(label), now):
                self._send_question(label)

    def _next(self) -> float:
        leases = (min(lease.expires, lease.again) for lease in self._leases.values())
        others = (min(each.expires, each.refresh) for entries in self._heard.values() for each in entries.values())
        # A question that nobody is interested in any more goes with the next turn of it.
        questions = (question.next for question in self._questions.values())
        gone = (until for _, until in self._gone.values())
        farewells = (when for when, _ in self._farewells)
        return min((self._rescan, *leases, *farewells, *others, *questions, *gone), default=math.inf)

    def _wait_for(self, when: float) -> None:
        if when < self._due:
            self._due = when
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._due - self._now()), self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._work()
        if self._timer is None and self._due < math.inf:  # The loop's clock is not the leases': this was too early.
            self._set_timer()

    # Interfaces

    async def _scan(self) -> None:
        """Uses the interfaces that are there now."""
        place = self._place
        addresses = addresses_of(place.interface)
        if not addresses:
            there = ", ".join(addresses_of("")) or "no other"
            self._trouble = (
                f"{place.interface!r} is neither the name nor an IPv4 address of an interface here; there is {there}"
                if place.interface
                else "there is no interface with an IPv4 address"
            )
        for address in self._links.keys() - set(addresses):
            await self._links.pop(address).close()
        for address in addresses:
            if address in self._links:
                continue
            link = Link(address, place.port, self._received)
            try:
                await link.open()
            except OSError as error:
                self._trouble = f"cannot use multicast on {address}: {error}"
                continue
            self._links[address] = link
            self._greet()
        self._rescan = self._now() + RESCAN
        self._wait_for(self._rescan)

    def _greet(self) -> None:
        """Tells and asks those who were out of reach until now."""
        for lease in self._leases.values():
            self._announce(lease)
        for label in self._questions:
            self._send_question(label)

    def _scanned(self, task: asyncio.Task[None]) -> None:
        self._scanning = None
        if not task.cancelled() and task.exception() is not None:
            _log.warning("mdns: cannot look at the interfaces: %s", task.exception())
            self._rescan = self._now() + RESCAN
            self._wait_for(self._rescan)
