"""What is held: a lock, a term of leadership, or a permit of a semaphore, from its grant to its end.

The rules that it keeps, and why:

- It is held until its deadline: when the request that the engine granted was sent, plus the ttl, minus the margin. So the holder stops
  before the engine gives the seat to another claim, whatever the network did to the answer.
- The deadline is on the boot clock, which goes on while the machine is suspended. The loop's timers do not, so everything that
  hands out a token reads the clock itself. A timer reports the end where nobody asks.
- It is renewed three times per ttl. An engine that does not answer is asked again until the deadline: an election of a leader among
  servers is not a loss. An engine that says that the claim is gone ends it at once.
- Nothing renews it but its event loop: a holder that hangs loses it. A loop that is blocked for long gets a warning (lag.py).
- What keeps it starts a moment after the grant: most locks are released before, and then cost no tasks.
- It ends once: released, or lost for a reason. Its state changes before anything is sent, so nobody reads a token of a lock that is
  being released.
- What is sent to release it is not cancelled with the caller: it goes on behind it until the ttl has passed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from micro_rt.errors import Error
from micro_rt.fence import Fence
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger
from micro_rt.sync.base import Claim, Grant, LockLost
from micro_rt.text import printable

__all__ = ["LEADER", "Held", "Lease", "Lock", "Permit", "Term"]

LEADER = "leader of "
"""What the lock of a leader is called, before its name."""
_LOOK = 1.0
"""Seconds after which the boot clock is looked at again, since the loop's clock may have stood still."""
_MOMENT = 0.05
"""Seconds after which what keeps it starts."""
_BACKOFF = (0.05, 1.0)
"""Seconds until an engine that does not answer is asked again: at first, and at most."""

_log = logger("micro_rt.sync")


class Lease:
    """A seat that was granted, and what keeps it.

    Args:
        what: it is, for errors: ``"lock 'invoice-run'"``.
        claim: what was granted.
        grant: what it was granted with.
        ttl: seconds.
        margin: seconds before the end of the ttl in which it counts as lost.
        sent: when the request was sent that was granted, on the clock.
        now: the clock: the boot clock, as a rule.
        tasks: the set that its background tasks belong to.
        ended: called once, when it is not held any more and its tasks have ended.
    """

    def __init__(
        self,
        what: str,
        claim: Claim,
        grant: Grant,
        *,
        ttl: float,
        margin: float,
        sent: float,
        now: Callable[[], float],
        tasks: TaskSet[Any],
        ended: Callable[[], None],
    ) -> None:
        self.what = what
        self.grant = grant
        self.ttl = ttl
        self.deadline = sent + ttl - margin
        self.reason = ""
        """Why it is not held any more; empty while it is."""
        self.released = False
        self.on_loss: Callable[[], None] | None = None
        """Called once, when it is lost."""
        self.over = asyncio.Event()
        """Set once it is not held any more."""
        self._claim = claim
        self._margin = margin
        self._now = now
        self._tasks = tasks
        self._ended = ended
        self._failure = ""
        self._releasing: asyncio.Task[bool] | None = None
        self._sent = sent
        self._keeping: tuple[asyncio.Task[None], ...] = ()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, min(self.remaining, _MOMENT)), self._look)

    @property
    def remaining(self) -> float:
        """Seconds until it is lost unless it is renewed; 0 if it is not held any more."""
        return 0.0 if self.reason else max(0.0, self.deadline - self._now())

    def check(self) -> None:
        """Returns if it is held.

        Raises:
            LockLost: it is not.
        """
        if self.reason or self._now() >= self.deadline:
            raise self.error()

    def error(self) -> LockLost:
        """Returns the error that says why it is not held any more."""
        verb = "was released" if self.released else "is lost"
        return LockLost(
            f"{self.what} {verb}" + ("" if self.released else f": {self.reason or self._late()}"), id="micro.lock_lost"
        )

    def give_up(self) -> bool:
        """Ends it now, and has the engine told behind the caller; returns whether this call ended it."""
        held = not self.reason and self._now() < self.deadline
        if held:
            self.released = True
            self._end("it was released")
        elif not self.reason:
            self.lose(self._late())
        self._gives_up()
        return held

    async def told(self, seconds: float) -> None:
        """Waits until the engine was told that it was given up, for that many seconds at most."""
        await asyncio.wait((self._gives_up(),), timeout=seconds)

    async def release(self) -> bool:
        """Gives it up; returns whether this call did, and it was held until then, as far as is known."""
        held = self.give_up()
        return await asyncio.shield(self._gives_up()) and held

    def _look(self) -> None:
        if self.reason:
            return
        left = self.deadline - self._now()
        if left <= 0:
            self.lose(self._late())
        else:
            if not self._keeping:
                self._keeping = (
                    self._tasks.start(self._renew(), name=f"micro-rt renews {self.what}"),
                    self._tasks.start(self._watch(), name=f"micro-rt watches {self.what}"),
                )
            self._timer = asyncio.get_running_loop().call_later(min(left, _LOOK), self._look)

    def _late(self) -> str:
        return (
            f"it was not renewed in time: {self._failure or 'the event loop was blocked, or the process stood still'}"
        )

    def lose(self, reason: str) -> None:
        """Ends it, since it is lost; does nothing if it has ended already.

        Args:
            reason: why, for a person.
        """
        if self.reason:
            return
        self._end(reason)
        _log.warning("%s is lost: %s", self.what, printable(reason))
        if self.on_loss is not None:
            self.on_loss()
        self._gives_up()  # The engine may still keep it, for nobody.

    def _end(self, reason: str) -> None:
        self.reason = reason
        self._timer.cancel()
        for task in self._keeping:
            task.cancel()
        self.over.set()

    def _gives_up(self) -> asyncio.Task[bool]:
        if self._releasing is None:
            self._releasing = self._tasks.start(self._give_up(), name=f"micro-rt releases {self.what}")
        return self._releasing

    async def _give_up(self) -> bool:
        """Has the engine forget the claim; after its ttl, the engine has."""
        until = self._now() + self.ttl
        backoff = Backoff(*_BACKOFF)
        try:
            if self._keeping:
                await asyncio.wait(self._keeping)  # The methods of a claim are not called at the same time.
            while True:
                try:
                    async with asyncio.timeout(max(0.01, until - self._now())):
                        return await self._claim.release()
                except (Error, TimeoutError) as error:
                    pause = backoff.failed()
                    if self._now() + pause >= until:
                        said = error.message if isinstance(error, Error) else "the engine has not answered in time"
                        _log.warning("%s was not released, and ends with its ttl: %s", self.what, printable(said))
                        return False
                await asyncio.sleep(pause)
        finally:
            self._ended()

    async def _renew(self) -> None:
        period = self.ttl / 3
        backoff = Backoff(min(_BACKOFF[0], period / 4), min(_BACKOFF[1], period / 2))
        pause = max(0.0, self._sent + period - self._now())
        while True:
            await asyncio.sleep(pause)
            sent = self._now()
            pause = period
            try:
                async with asyncio.timeout(self.ttl / 6):
                    alive = await self._claim.renew()
            except TimeoutError:
                self._failure, pause = "the engine has not answered", backoff.failed()
            except Error as error:
                self._failure, pause = error.message, backoff.failed()
            else:
                backoff.succeeded()
                self._failure = ""
                if self.reason:
                    return
                if not alive:
                    self.lose("the engine has it no more")
                    return
                self.deadline = max(self.deadline, sent + self.ttl - self._margin)

    async def _watch(self) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            try:
                reason = await self._claim.lost()
            except Error:
                await asyncio.sleep(backoff.failed())
            else:
                self.lose(reason)
                return


class Held:
    """What a lock, a term and a permit have in common."""

    def __init__(self, name: str, lease: Lease) -> None:
        self.name = name
        self._lease = lease

    def __repr__(self) -> str:
        state = self._lease.reason or f"{self.remaining:.1f} s"
        return f"<{type(self).__name__} {self.name!r}: {state}>"

    @property
    def remaining(self) -> float:
        """Seconds until it is lost, unless it is renewed before; 0 if it is not held any more."""
        return self._lease.remaining

    @property
    def held(self) -> bool:
        """Whether it is held now."""
        return self._lease.remaining > 0

    def check(self) -> None:
        """Returns if it is held; for work that does not await, and in threads.

        Raises:
            LockLost: it is not held any more.
        """
        self._lease.check()

    async def lost(self) -> None:
        """Waits until it is not held any more: it was lost, or was given up."""
        await self._lease.over.wait()


class Lock(Held):
    """A lock that is held."""

    @property
    def token(self) -> int:
        """A number greater than that of every earlier holder, as long as the engine keeps its data (``epoch``).

        Raises:
            LockLost: the lock is not held any more.
        """
        self._lease.check()
        return self._lease.grant.token

    @property
    def epoch(self) -> int:
        """Grows when the engine has lost its data, and tokens start again.

        Raises:
            LockLost: the lock is not held any more.
        """
        self._lease.check()
        return self._lease.grant.epoch

    @property
    def fence(self) -> Fence:
        """What the lock protects is written with: ``store.write(…, fence=lock)``, or sent to whoever checks it.

        Raises:
            LockLost: the lock is not held any more.
        """
        self._lease.check()
        return Fence(self.name, self._lease.grant.epoch, self._lease.grant.token)

    async def release(self) -> bool:
        """Gives the lock up before its block ends; returns whether it was held until now. A second call does no harm."""
        return await self._lease.release()


class Term(Held):
    """The time for which this process leads."""

    @property
    def number(self) -> int:
        """A number greater than that of every earlier term, as long as the engine keeps its data.

        Raises:
            LockLost: the term is over.
        """
        self._lease.check()
        return self._lease.grant.token

    @property
    def fence(self) -> Fence:
        """What only the leader writes is written with: ``store.write(…, fence=term)``.

        Raises:
            LockLost: the term is over.
        """
        self._lease.check()
        # A lock of the same name has tokens of its own.
        return Fence(f"{LEADER}{self.name}", self._lease.grant.epoch, self._lease.grant.token)

    async def resign(self) -> bool:
        """Ends the term before its block ends; returns whether this process led until now. A second call does no harm."""
        return await self._lease.release()


class Permit(Held):
    """A permit of a semaphore.

    It has no token: several hold one at a time, so none is the newest.
    """

    async def release(self) -> bool:
        """Gives the permit up before its block ends; returns whether it was held until now. A second call does no harm."""
        return await self._lease.release()
