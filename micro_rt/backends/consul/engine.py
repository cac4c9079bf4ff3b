"""Consul: the engine of every ``consul://`` backend; one pool of connections, and one notion of whether it answers.

An agent that does not answer is asked by one task until it does, however many wait for it; they are told through
``recovered``. The outage is logged once when it begins and once when it is over, and ``problem`` says it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine, Generator, Mapping, Sequence
from typing import Any, TypeVar

from micro_rt.backends.consul.address import ConsulAddress
from micro_rt.backends.consul.http import TXN, UNREACHABLE, Answer, Body, ConsulHttp, Params, list_of
from micro_rt.errors import Error, FailedPrecondition, Unavailable
from micro_rt.kit import backoff
from micro_rt.kit.chance import between, spread
from micro_rt.kit.clock import local_time
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.tasks import observed
from micro_rt.logs import logger

__all__ = ["Consul"]

REQUESTS = 24
"""Requests at once, beside blocking queries."""
WAIT = (45.0, 60.0)
"""Seconds that a blocking query waits for a change, at random: queries that begin together are not to be renewed together.
Consul adds up to a sixteenth. It does not notice that a client has left until then, and counts the connection until then: a
process that ends and starts again and again would use up those that Consul takes from one machine."""
SILENCE = 3.0
"""Times the address's timeout without any answer, after which it is asked whether it is there, while blocking queries wait."""
RETRY = (0.2, 5.0)
"""Seconds; the bound of the first random wait in an outage, and what it doubles up to."""

_log = logger("micro_rt.consul")

T = TypeVar("T")


class Consul:
    """A Consul agent.

    Args:
        address: where it is.
    """

    def __init__(self, address: ConsulAddress) -> None:
        self.address = address
        self.problem = ""
        """What is wrong with it, as far as is known; empty if nothing."""
        self.failures = 0
        """Requests that nobody answered, so far: whenever one more went wrong, Consul may be another than before."""
        self.on_loopback = False
        """Whether its servers are reached over loopback only, so that all its users are on this machine."""
        self._silence = SILENCE * address.timeout
        self._made: ConsulHttp | None = None
        self._gate = asyncio.Semaphore(REQUESTS)
        self._blocking: OrderedSet[asyncio.Future[Answer]] = OrderedSet()
        self._answered_at = 0.0
        self._prober: asyncio.Task[None] | None = None
        self._pulse: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connects, and sees whether it answers.

        Raises:
            Unavailable: it does not; the message says where it was looked for and what to do.
            Unauthenticated: it does not know the token.
            FailedPrecondition: it has no such datacenter or no namespaces, or the TLS files are of no use.
        """
        self._made = ConsulHttp(self.address)
        try:
            self.on_loopback = await self._ask()
        except BaseException as error:
            await self.close()
            if isinstance(error, Unavailable) and error.id == UNREACHABLE:
                raise Unavailable(
                    f"{error.message}. Start Consul there (for a try: consul agent -dev), or name another address, "
                    "in MICRO_REGISTRY, MICRO_CONFIG or MICRO_SYNC for example",
                    id=error.id,
                ) from None
            raise

    async def close(self) -> None:
        """Ends what is under way, and closes every connection."""
        http, self._made = self._made, None
        tasks = [task for task in (self._prober, self._pulse, *self._blocking) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._prober = self._pulse = None
        if http is not None:
            await http.close()

    async def get(self, path: str, params: Params = ()) -> Answer:
        """Reads; the path is quoted already."""
        return await self._guarded(self._http.get(path, params, timeout=self.address.timeout))

    async def block(self, path: str, params: Params, index: int, longest: float = math.inf) -> Answer:
        """Reads when the state is another than that of an index; at once if that is 0.

        Args:
            path: quoted already.
            params: of the query.
            index: of the state that is known.
            longest: seconds that it waits at most.

        Raises:
            Unavailable: it does not answer; also to those who were waiting already when that is found out.
        """
        if not index:
            return await self.get(path, params)
        wait = min(between(*WAIT), longest)
        waiting = [*params, ("index", str(index)), ("wait", f"{wait:.3f}s")]
        timeout = wait * 17 / 16 + self.address.timeout
        query = observed(asyncio.ensure_future(self._watched(self._http.get(path, waiting, timeout=timeout))))
        self._blocking.add(query)
        if self._pulse is None:
            self._pulse = asyncio.create_task(self._feel(), name="pulse of Consul")
        try:
            await asyncio.wait((query,))
        finally:
            self._blocking.discard(query)
            if not query.done():
                query.cancel()
                await asyncio.wait((query,))
        if query.cancelled():
            raise Unavailable(self.problem or f"the connection to Consul at {self.address.place} is closed")
        return query.result()

    async def put(self, path: str, body: Body | None = None, params: Params = (), *, host: str = "") -> Answer:
        """Writes; the path is quoted already."""
        return await self._at(host, self._http.put(path, body, params, timeout=self.address.timeout, host=host))

    async def txn(self, operations: Sequence[Mapping[str, Any]], params: Params = ()) -> Answer:
        """Does all of some operations on keys, or none of them.

        Args:
            operations: what belongs into each ``KV``.
            params: of the request.

        Returns:
            What Consul says; ``found`` is False if it did none of them.
        """
        return await self.put(TXN, [{"KV": each} for each in operations], params)

    async def pass_check(self, id: str, host: str = "") -> bool:
        """Says that a TTL check passes; returns False if the agent has no such check.

        Args:
            id: of the check.
            host: another agent than that of the address, at the same port.
        """
        return await self._at(host, self._http.pass_check(id, timeout=self.address.timeout, host=host))

    async def deregister(self, id: str, host: str = "") -> bool:
        """Has an agent forget a service; returns False if it does not know it."""
        return await self._at(host, self._http.deregister(id, timeout=self.address.timeout, host=host))

    async def remove(self, node: str, id: str) -> None:
        """Removes a service from the catalog, past the agent that owned it."""
        await self._guarded(self._http.remove(node, id, timeout=self.address.timeout))

    @property
    def token_changes(self) -> int:
        """How many times the token was replaced so far."""
        return self._http.token_changes

    async def recovered(self) -> None:
        """Waits until it answers again, if it is known or suspected not to."""
        if self._prober is not None:
            await asyncio.wait((self._prober,))

    @contextlib.contextmanager
    def understood(self) -> Generator[None]:
        """Reads an answer inside: what is not formed as Consul forms it is ``Unavailable``, and never another exception."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise Unavailable(f"what answers at {self.address.place} is something else, not Consul") from error

    @property
    def _http(self) -> ConsulHttp:
        if self._made is None:
            raise FailedPrecondition(f"the connection to Consul at {self.address.place} is closed")
        return self._made

    async def _at(self, host: str, request: Coroutine[Any, Any, T]) -> T:
        # That another agent does not answer says nothing of this one.
        if host:
            return await request
        return await self._guarded(request)

    async def _guarded(self, request: Coroutine[Any, Any, T]) -> T:
        try:
            async with self._gate:
                return await self._watched(request)
        finally:
            request.close()  # It was never started, if the wait for the gate was cancelled.

    async def _watched(self, request: Coroutine[Any, Any, T]) -> T:
        try:
            answer = await request
        except Unavailable:
            self.failures += 1
            self._suspect()
            raise
        except Error:
            self._heard()
            raise
        self._heard()
        return answer

    def _heard(self) -> None:
        self._answered_at = asyncio.get_running_loop().time()

    async def _ask(self) -> bool:
        """Reads what needs a leader; returns whether every server is on loopback."""
        answer = await self._http.get("/v1/health/service/consul", timeout=self.address.timeout)
        with self.understood():
            if answer.data is None:
                raise TypeError("Consul's answer is empty")
            servers: list[dict[str, Any]] = list_of(answer.data)
            local = [str(each["Node"]["Address"]).startswith(("127.", "::1")) for each in servers]
        self._heard()
        return bool(local) and all(local)

    def _suspect(self) -> None:
        """A request went wrong: finds out whether that was all, or whether it does not answer any more."""
        if self._prober is None and self._made is not None:
            self._prober = asyncio.create_task(self._probe(), name="probe of Consul")

    async def _probe(self) -> None:
        failures = 0
        since = ""
        try:
            while True:
                try:
                    await self._ask()
                except Unavailable as error:
                    if not failures:
                        since = f"{local_time():%H:%M:%S}"
                        self._begin(error)
                    # The present reason: what begins as a refused connection may end as a cluster without a leader.
                    self.problem = f"{error.message} (since {since})"
                    failures += 1
                except Exception as error:  # It answers, whatever it says.
                    _log.debug("Consul at %s answers the probe: %s", self.address.place, error)
                    break
                else:
                    break
                await asyncio.sleep(max(0.02, backoff.delay(failures + 1, *RETRY)))
        finally:
            self._prober = None
        if failures:
            self.problem = ""
            _log.info("Consul at %s answers again", self.address.place)

    def _begin(self, error: Unavailable) -> None:
        _log.warning("%s; going on with what is known", error.message)
        for query in self._blocking:
            query.cancel()

    async def _feel(self) -> None:
        """Asks for a sign of life where nothing else would be noticed: a peer that holds connections, and is silent."""
        loop = asyncio.get_running_loop()
        try:
            while self._blocking:
                silent = loop.time() - self._answered_at
                if silent >= self._silence and self._prober is None:
                    self._suspect()
                await asyncio.sleep(spread(max(self._silence - silent, self._silence / 4), 0.1))
        finally:
            self._pulse = None
