"""How registry ``mdns:`` works: what one process announces, hears, asks and knows of the nodes on its networks.

The rules that it keeps, and why:

- Every process announces its nodes to all others, again with each heartbeat, and keeps what others announce for as long
  as they say. So a name that is known needs no question.
- The network is asked when a name is looked up first, when nobody is known to serve it, and before a node that is of
  interest runs out: go-micro announces a node once and then only answers questions.
- A question is repeated after fixed times, since packets get lost: soon while there is no answer, and then rarely, to
  mend what else was missed. A name is asked for while somebody watches it, and for a while after it was looked up last.
- Whoever looks a name up waits for answers only as long as they come: until ``QUIET`` seconds after the last one, and
  at most ``PATIENCE``. Asking again soon waits less: what came meanwhile was heard.
- Each registration has a stamp, and of one id the latest counts. So a packet that is late does not bring back what is
  gone, and a process whose node's id was taken by another process hears of it and gives the id up.
- A node says goodbye twice, because a packet may be lost. A goodbye is remembered for a while, against late
  announcements.
- What is announced holds no longer than the lease: a process that does not renew must not live on by answers given for
  it.
- A registration or a renewal is a success when the system has taken an announcement that was made for it, on one interface at
  least. Nothing less is: others would forget the node, and its process would believe that it is listed.
- Renewals of a lease are announced ``RENEWAL`` seconds apart (or a quarter of the lease, if that is less), because everybody hears
  them. A renewal that comes earlier waits.
- Packets are sent ``BURST`` at a time, because those who hear more at once lose some. A queued answer that is asked for
  again is sent once.
- What others announce is bounded: nodes, labels and lifetimes. Whoever floods the network must not fill this process's
  memory.
- On an interface that is new, everything is announced and asked again; links.py says when interfaces are looked for.
- One timer wakes for whatever is due first. Reading what is known costs one look at the clock if nothing is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from micro_rt.backends.mdns.link import Link, PacketQueue, Source
from micro_rt.backends.mdns.links import Links
from micro_rt.backends.mdns.nodes import MdnsLease, OtherNodes, OwnNodes
from micro_rt.backends.mdns.records import Domain, HeardInstance, OwnInstance, Question, Stamp, label_of, query, read
from micro_rt.errors import Unavailable
from micro_rt.kit.chance import between
from micro_rt.kit.clock import Clock, wall_time_us
from micro_rt.kit.ids import new_id
from micro_rt.kit.net import is_loopback
from micro_rt.kit.ordered import OrderedSet
from micro_rt.node import Node
from micro_rt.registry.base import LeaseLost
from micro_rt.registry.unreadable import Unreadable
from micro_rt.registry.watch import Watches

__all__ = ["MdnsAddress", "MulticastNetwork"]

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
EARLY = 3
"""The first of them are for answers that are lost, and are not asked any more when there is one; the later ones mend the rest."""
REPEAT = 60.0
INTEREST = 300.0
"""Seconds that a name is kept fresh after it was asked for last; and as long as it is watched."""
LISTING_PATIENCE = 0.5
"""Seconds to wait for an answer to the question for all names."""
LISTING_INTEREST = 10.0
"""Seconds in which asking for all names again is asking about the same."""
MAX_LABELS = 10_000
LISTING_TTL = 120
"""Seconds; go-micro's, of the answer to the question for all names."""
FAREWELL = 0.2
"""Seconds between the two goodbyes; the first may get lost."""
RENEWAL = 0.25
"""Seconds from one announcement of a lease to the next that a renewal makes."""


@dataclass(frozen=True, slots=True)
class MdnsAddress:
    """What an address ``mdns:`` says: the interface, the domain and the port where nodes meet."""

    interface: str
    """Name or address; empty: all."""
    domain: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine is there."""
        return is_loopback(self.interface) or re.fullmatch("lo[0-9]*", self.interface) is not None


@dataclass(slots=True)
class _Lookup:
    """A name that the network is asked for, again and again."""

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


class MulticastNetwork:
    """What the registries of one address share.

    Args:
        address: where nodes meet.
        clock: what leases are measured with.
    """

    def __init__(self, address: MdnsAddress, clock: Clock) -> None:
        self.watches = Watches()
        self._unreadable = Unreadable()
        self.domain = Domain(address.domain)
        self._address = address
        self._now = clock.now
        # Where it reaches.
        self._links = Links(address.interface, address.port, self._received, self._greet)
        self._packets = PacketQueue()
        self._own = OwnNodes(self.domain)
        self._others = OtherNodes(clock.now)
        self._farewells: list[tuple[float, bytes]] = []
        self._labels: OrderedSet[str] = OrderedSet()
        """Of names that somebody said have nodes."""
        self._sorted: dict[str, tuple[Node, ...]] = {}
        self._lookups: dict[str, _Lookup] = {}
        # When to do what.
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    async def open(self) -> None:
        """Joins the others.

        Raises:
            Unavailable: there is no interface for it.
        """
        await self._links.open()
        if not len(self._links):
            trouble = self._links.trouble
            await self._links.close()
            raise Unavailable(f"registry mdns: {trouble}", id="micro.registry_unavailable")

    async def close(self) -> None:
        """Leaves; what is registered is not answered for any more, and runs out."""
        if self._timer is not None:
            self._timer.cancel()
        for _, packet in self._farewells:
            self._tell(packet)
        self._packets.close()
        await self._links.close()

    @property
    def problem(self) -> str:
        """Why nothing can be sent; empty as long as one interface works."""
        return self._links.problem

    # Our own nodes

    def next_stamp(self, id: str) -> Stamp:
        """Returns a stamp that is later than that of any registration of this id that is known."""
        known = [self._others.stamp(id)[0]]
        if id in self._own.leases:
            known.append(self._own.leases[id].stamp[0])
        return max(wall_time_us(), max(known) + 1), new_id(8)

    async def add(self, lease: MdnsLease) -> None:
        """Lists a node, in place of what it was registered as before.

        Raises:
            Unavailable: it cannot be announced; the message says why.
        """
        before = self._own.leases.get(lease.id)
        if before is not None:
            self._drop(before, goodbye=[name for name in before.own if name not in lease.own])
        lease.expires = self._now() + lease.ttl
        self._own.add(lease)
        self._changed(dict.fromkeys((*lease.own, *self._others.forget(lease.id))))
        self._wait_for(lease.expires)
        try:
            await self._tell_everybody(lease)
        except BaseException:
            if self._own.leases.get(lease.id) is lease:
                self._drop(lease, goodbye=lease.own)
            raise
        lease.again = lease.announced + 1.0
        self._wait_for(lease.again)

    async def renew(self, lease: MdnsLease) -> None:
        """Keeps a node listed.

        Raises:
            LeaseLost: it is not listed.
            Unavailable: it cannot be announced; the message says why.
        """
        self._check_listed(lease)
        while (early := lease.announced + min(RENEWAL, lease.ttl / 4) - self._now()) > 0:
            await asyncio.sleep(early)
            self._check_listed(lease)
        lease.expires = self._now() + lease.ttl
        await self._tell_everybody(lease)

    def remove(self, lease: MdnsLease) -> None:
        """Lists a node no more, and tells everybody; does nothing if it is not listed."""
        if self._own.leases.get(lease.id) is lease:
            self._drop(lease, goodbye=lease.own)

    def _drop(self, lease: MdnsLease, goodbye: Iterable[str]) -> None:
        self._own.remove(lease)
        for name in goodbye:
            packet = lease.own[name].announcement(0)
            self._tell(packet)
            self._farewells.append((self._now() + FAREWELL, packet))
            self._wait_for(self._farewells[0][0])
        self._changed(lease.own)

    def _check_listed(self, lease: MdnsLease) -> None:
        self._work()
        if self._own.leases.get(lease.id) is not lease:
            raise LeaseLost(f"the lease of {lease.id} ran out, or another replaced it")

    async def _tell_everybody(self, lease: MdnsLease) -> None:
        """Announces a node, and waits until that is sent.

        Raises:
            Unavailable: it is not sent on any interface.
        """
        if await self._announce(lease):
            return
        await self._links.look()  # The interface may have come back, with all that was joined on it gone.
        if not await self._announce(lease):
            reason = self.problem or "too many packets wait to be sent"
            raise Unavailable(
                f"registry mdns: {lease.id} cannot be announced: {reason}", id="micro.registry_unavailable"
            )

    def _announce(self, lease: MdnsLease) -> asyncio.Future[bool]:
        """Announces a node; the future says whether each of its names was sent on an interface."""
        lease.announced = self._now()
        lease.again = math.inf
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        outcomes: list[bool] = []

        def note(outcome: bool) -> None:
            outcomes.append(outcome)
            if len(outcomes) == len(lease.own) and not sent.done():
                sent.set_result(all(outcomes))

        def tell(packet: bytes) -> None:
            note(self._links.tell(packet))

        if not lease.own:
            sent.set_result(True)
        for own in lease.own.values():
            if not self._packets.put(partial(tell, own.announcement(self._left(lease)))):
                note(False)
        return sent

    def _left(self, lease: MdnsLease) -> int:
        # Not the whole time to live: who does not renew any more must not live on by the answers that are given for it.
        return max(1, math.ceil(lease.expires - self._now()))

    # Looking up

    async def resolve(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name, having asked for it unless some are known and kept fresh."""
        nodes = self._nodes(name)
        lookup = self._lookup(label_of(name))
        if lookup is None or not nodes:
            lookup = self._ask(label_of(name), name, INTEREST)
        lookup.service = name
        lookup.until = max(lookup.until, self._now() + INTEREST)
        await self._hear_out(lookup, FIRST_LOOK if nodes else PATIENCE)
        return self._nodes(name)

    async def look(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes of a name for a watch, which sees those that come later as soon as they come."""
        lookup = self._lookup(label_of(name))
        if lookup is None:
            await self._hear_out(self._ask(label_of(name), name, INTEREST), FIRST_LOOK)
        else:
            lookup.service = name  # It may have been asked by its label alone.
        return self._nodes(name)

    async def names(self) -> dict[str, tuple[Node, ...]]:
        """Returns every name with its nodes."""
        await self._hear_out(self._ask("", "", LISTING_INTEREST), LISTING_PATIENCE)
        unasked = [label for label in self._labels if self._lookup(label) is None]
        for lookup in [self._ask(label, label, LISTING_INTEREST) for label in unasked]:
            await self._hear_out(lookup, LISTING_PATIENCE)
        found = {name: self._nodes(name) for name in sorted(self._others.by_name.keys() | self._own.by_name.keys())}
        return {name: nodes for name, nodes in found.items() if nodes}

    def _lookup(self, label: str) -> _Lookup | None:
        """Returns the lookup of a name, if it is still of interest."""
        lookup = self._lookups.get(label)
        return lookup if self._is_of_interest(lookup, self._now()) else None

    def _ask(self, label: str, service: str, interest: float) -> _Lookup:
        """Asks who serves a name, unless that was asked just now."""
        now = self._now()
        lookup = self._lookup(label)
        if lookup is None:
            lookup = self._lookups[label] = _Lookup(service, now + interest)
        elif now < lookup.started + lookup.patience:
            return lookup
        else:
            lookup.patience = PATIENCE_AGAIN
        lookup.started = now
        lookup.asked = 0
        lookup.answered.clear()
        self._ask_again(label, lookup)
        return lookup

    def _ask_again(self, label: str, lookup: _Lookup) -> None:
        needed = not (0 < lookup.asked < EARLY and lookup.answered.is_set())
        lookup.asked += 1
        if lookup.asked < len(QUESTIONS):
            lookup.next = lookup.started + QUESTIONS[lookup.asked]
        else:
            lookup.next = self._now() + REPEAT * between(0.9, 1.1)
        self._wait_for(lookup.next)
        if needed:
            self._send_question(label)

    def _send_question(self, label: str) -> None:
        packet = query(label + self.domain.suffix if label else self.domain.services)
        self._packets.put(partial(self._links.ask, packet))

    async def _hear_out(self, lookup: _Lookup, patience: float) -> None:
        """Waits until the answers to a lookup are there, as far as can be known."""
        rest = lookup.started + min(patience, lookup.patience) - self._now()
        if rest <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest):
                await lookup.answered.wait()
                quiet = QUIET
                while quiet > 0:
                    await asyncio.sleep(quiet)
                    quiet = lookup.heard + QUIET - self._now()

    def _is_of_interest(self, lookup: _Lookup | None, now: float) -> bool:
        return lookup is not None and (now < lookup.until or self.watches.watched(lookup.service))

    # What is known

    def _nodes(self, name: str) -> tuple[Node, ...]:
        self._work()
        nodes = self._sorted.get(name)
        if nodes is None:
            found = {id: entry.node for id, entry in self._others.by_name.get(name, {}).items()}
            found.update({id: own.node for id, own in self._own.by_name.get(name, {}).items()})
            if not found:
                return ()
            nodes = self._sorted[name] = tuple([found[id] for id in sorted(found)])
        return nodes

    def _changed(self, names: Iterable[str]) -> None:
        for name in names:
            self._sorted.pop(name, None)
        self.watches.changed(names)

    # Hearing and answering

    def _received(self, data: bytes, source: Source, link: Link) -> None:
        packet = read(data, self.domain, source[1], self._address.port, self._unreadable, link.zone)
        if packet.questions and not link.is_own(source):
            for question in packet.questions:
                self._answer(question, source, link)
        if packet.names and "" in self._lookups:
            if len(self._labels) < MAX_LABELS:
                self._labels.update(packet.names)
            self._answered("")
        for heard in packet.nodes:
            self._hear(heard)

    def _hear(self, heard: HeardInstance) -> None:
        lease = self._own.leases.get(heard.node.id)
        if lease is not None:
            if heard.stamp <= lease.stamp:
                # Our own announcement, or that of a process that does not know yet that the id is this process's now.
                if heard.ttl and heard.stamp < lease.stamp and self._now() - lease.announced > 0.2:
                    self._announce(lease)
                return
            self._drop(lease, goodbye=lease.own)
        changed = self._others.hear(heard)
        self._wait_for(self._others.next)
        if heard.ttl:
            self._answered(label_of(heard.name))
        if changed:
            self._changed((heard.name,))

    def _answered(self, label: str) -> None:
        lookup = self._lookups.get(label)
        if lookup is not None:
            lookup.heard = self._now()
            lookup.answered.set()

    def _answer(self, question: Question, source: Source, link: Link) -> None:
        self._work()
        for own in self._own.one_of_each_name(question):
            self._packets.put(partial(self._list, own, question, source, link), (own.name, question, source))
        for own in self._own.instances_for(question):
            self._packets.put(
                partial(self._reply, own, question, source, link), (own.name, own.node.id, question, source)
            )

    def _list(self, own: OwnInstance, question: Question, source: Source, link: Link) -> None:
        self._send_answer(own.listing(question, LISTING_TTL), question, source, link)

    def _reply(self, own: OwnInstance, question: Question, source: Source, link: Link) -> None:
        lease = self._own.leases.get(own.node.id)
        if lease is not None and lease.own.get(own.name) is own:  # It may have gone while the answer waited.
            self._send_answer(own.answer(question, self._left(lease)), question, source, link)

    def _send_answer(self, packet: bytes, question: Question, source: Source, link: Link) -> None:
        if question.unicast:
            link.reply(packet, source)
        else:
            link.tell(packet)

    def _tell(self, packet: bytes) -> None:
        self._packets.put(partial(self._links.tell, packet))

    # When to do what

    def _work(self) -> None:
        """Does what is due; costs one look at the clock if nothing is."""
        now = self._now()
        if now < self._due:
            return
        self._due = math.inf
        for lease in list(self._own.leases.values()):
            if lease.expires <= now:
                self._drop(lease, goodbye=lease.own)
            elif lease.again <= now:
                self._announce(lease)
        for _, packet in [each for each in self._farewells if each[0] <= now]:
            self._tell(packet)
        self._farewells = [each for each in self._farewells if each[0] > now]
        self._look_after_others()
        for label, lookup in list(self._lookups.items()):
            if not self._is_of_interest(lookup, now):
                del self._lookups[label]
                if not label:
                    self._labels.clear()
            elif lookup.next <= now:
                self._ask_again(label, lookup)
        self._wait_for(self._next())

    def _look_after_others(self) -> None:
        """Drops what ran out, and asks for what is of interest and soon will."""
        lost, stale = self._others.look_after()
        self._changed(lost)
        for label in dict.fromkeys(label_of(name) for name in (*lost, *stale)):
            if self._lookup(label) is not None:
                self._send_question(label)

    def _next(self) -> float:
        leases = (min(lease.expires, lease.again) for lease in self._own.leases.values())
        # A question that nobody is interested in any more goes with the next turn of it.
        lookups = (lookup.next for lookup in self._lookups.values())
        farewells = (when for when, _ in self._farewells)
        return min((*leases, *farewells, *lookups, self._others.next))

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

    def _greet(self) -> None:
        """Tells and asks those who were out of reach until now."""
        for lease in self._own.leases.values():
            self._announce(lease)
        for label in self._lookups:
            self._send_question(label)
