"""The attempts of one call.

Rules:

- An error that says ``may_have_run`` is true is followed by another attempt only if the method is declared idempotent; an
  error that says it is false may always be followed by one. ``RetryPolicy.allows`` decides, never the code of the error
  alone.
- An attempt that never reached its node (``Unavailable``, ``may_have_run`` false) moves on to an untried node at once: it
  costs no wait, no attempt of the policy and nothing of the retry budget. A call moves on ``MOVES`` times and for
  ``MOVE_TIME`` seconds at most, so that one call does not try thousands of dead nodes at once; then each attempt counts
  and waits. After ``Unavailable`` it moves on to a connected node in any case: it does not give up while there is one, and
  other calls pass the failed node over for a while too. Nodes that do not serve a method stay connected, so that rule would
  let a call ask thousands of them. If several nodes could not be reached, the error of the call gives the reason of each.
- An attempt that took as long as the policy's ``attempt_timeout`` counts as ``Unavailable``: it may have run.
- An attempt that its node refused before anything ran moves on in the same way: the node does not serve the method
  (``Unimplemented``), or another process has taken its address (``Unavailable``).
- Servers of grpcio and of grpc-dotnet say that they do not have a method, and not which one. Such an answer in place of a server
  of micro-rt comes from another process. From any other node it may be that of a call which the handler made: it may have run.
- Every other failure counts as an attempt of the policy, must have a code that the policy lists, and waits for the back-off.
- A server may say with a ``RetryInfo`` how long to wait at least. A wait of more than ``LONGEST_WAIT`` seconds ends the call: the
  caller has the detail, and may do something better meanwhile.
- An attempt that may have run spends from the retry budget of the service's nodes. An empty budget ends the call with its
  error, so that a service that fails as a whole does not get many times its usual load.
- No wait goes beyond the deadline: if the back-off would, the call fails at once with the error that it has.
- An attempt goes to a node that this call has not tried, as long as there is one; then every node may be tried again,
  after the back-off.
- A name without nodes is waited for like a failure: the same policy, the same back-off.
- An error that follows a failed attempt keeps that attempt's error: as its ``__cause__``, and in its text. "Nobody serves it"
  says little of a call that was cut off. The text of an error that a server sent stays as the server wrote it.
- If any attempt may have run, the error of the call says so, whatever happened last.
- ``CallInfo`` is updated as the node is chosen, so an error can say which node the last attempt went to.
"""

from __future__ import annotations

import asyncio
from copy import copy

from micro_rt.client.nodes import ServiceNodes
from micro_rt.client.remote import RemoteNode
from micro_rt.context import ClientCall
from micro_rt.details import RetryInfo
from micro_rt.errors import NOT_SERVED, UNKNOWN_METHOD, DeadlineExceeded, Error, Unavailable, Unimplemented
from micro_rt.kit import backoff
from micro_rt.method import RetryPolicy

__all__ = ["Attempts"]

_MOVES_ON = frozenset({Unavailable.code, Unimplemented.code})
"""After these, a call that did not run goes to another node at once."""
MOVES = 16
"""Times that a call moves on to another node without a wait."""
MOVE_TIME = 10.0
"""Seconds after its first failed attempt within which a call moves on without a wait."""
LONGEST_WAIT = 60.0
"""Seconds; a server that wants a longer wait ends the call."""
MANY_REASONS = 8
"""Nodes that an error names with the reason why they could not be reached."""


class Attempts:
    """The attempts of one call: which node the next one goes to, and whether there is a next one.

    Args:
        service_nodes: the nodes that the call may go to.
        call: the call; each attempt is noted in its ``info``.
        retry: how often, when and after which errors the call is sent again.
    """

    __slots__ = (
        "_call",
        "_failed_at",
        "_first",
        "_may_have_run",
        "_moves",
        "_reasons",
        "_retry",
        "_sent",
        "_tried",
        "service_nodes",
    )

    def __init__(self, service_nodes: ServiceNodes, call: ClientCall, retry: RetryPolicy) -> None:
        self._call = call
        self._retry = retry
        self._sent = 0
        self._first: Error | None = None
        self._may_have_run = False
        self._moves = 0
        self._failed_at: float | None = None
        self._tried: frozenset[str] = frozenset()
        self._reasons: dict[str, str] = {}
        """Why nodes could not be reached, by their addresses."""
        self.service_nodes = service_nodes

    @property
    def deadline(self) -> float | None:
        """When the call ends at the latest."""
        return self._call.deadline

    async def next(self) -> RemoteNode:
        """Returns the node of the next attempt; waits for one to appear for as long as the policy allows.

        Raises:
            Error: there is no node, and the policy or the deadline allows no further wait.
        """
        while True:
            remote = self.service_nodes.pick(self._call.metadata, self._tried)
            if remote is not None:
                info = self._call.info
                info.attempts += 1
                info.node = remote.node.id
                info.peer = remote.node.address
                return remote
            try:
                await self.service_nodes.wait(self._call.deadline)
            except Unavailable as error:
                if self.service_nodes.closed:
                    raise self._last(error)  # noqa: B904 - it is the same error; the service that calls has ended
                await self._back_off(error)
            except DeadlineExceeded as error:
                raise self._last(error)  # noqa: B904 - it is the same error

    async def failed(self, remote: RemoteNode, error: Error) -> None:
        """Returns when the next attempt may go ahead.

        Args:
            remote: the node that the attempt went to.
            error: how the attempt failed.

        Raises:
            Error: ``error`` itself, with the first one as its cause, if there is no next attempt.
        """
        self._tried |= {remote.node.id}
        self.note(remote, error)
        if not error.may_have_run and error.code in _MOVES_ON and self._may_move(error):
            self._remember(error)
            return
        try:
            await self._back_off(error)
        except Error as last:
            self._explain(last)
            raise
        self._remember(error)
        if not self.service_nodes.untried(self._tried):
            self._tried = frozenset()

    def late(self, timeout: float) -> Error:
        """Returns the error of a stream that has reached no node.

        Args:
            timeout: the seconds that it had.
        """
        info = self._call.info
        where = f"; it tried {info.node} at {info.peer}" if info.node else ""
        error = DeadlineExceeded(
            f"{self._call.method.path} reached no node within {timeout:g} s{where}",
            id="micro.deadline",
            may_have_run=False,
        )
        self._explain(error)
        return self._last(error)

    def timed_out(self, remote: RemoteNode, error: Error) -> Error:
        """Returns the error of an attempt that took as long as the policy allows, while the call has time left.

        Args:
            remote: the node that the attempt went to.
            error: how the attempt failed; of the code ``DEADLINE_EXCEEDED``.
        """
        if error.unanswered:
            remote.silent()
        return Unavailable(
            f"{remote.node.id} at {remote.node.address} did not answer within {self._retry.attempt_timeout:g} s",
            id="micro.attempt_timeout",
            may_have_run=error.may_have_run,
            unanswered=error.unanswered,
        )

    def note(self, remote: RemoteNode, error: Error) -> None:
        """Notes what the failure of an attempt says of its node.

        Args:
            remote: the node that the attempt went to.
            error: how the attempt failed.
        """
        remote.record.noted(error)
        if error.id == UNKNOWN_METHOD and not remote.node.services:
            error.may_have_run = True
        if not error.may_have_run and error.code is Unimplemented.code:
            remote.answered()
            if error.id == NOT_SERVED and self._call.method.service == self.service_nodes.service:
                self.service_nodes.refused(remote.node.id)
        elif not error.may_have_run and error.code is Unavailable.code:
            remote.failed()
            self._reasons[remote.node.address] = error.message
            self.service_nodes.connect_soon()
        elif error.code is DeadlineExceeded.code and (error.unanswered or not error.may_have_run):
            remote.silent()
        elif error.unanswered:
            remote.lost()
            if remote.given_up:
                error.message = (
                    f"{remote.node.id} at {remote.node.address} left the registry and does not answer: {error.message}"
                )
        elif error.may_have_run:
            remote.answered()

    def _may_move(self, error: Error) -> bool:
        """Returns whether the next attempt may go ahead at once, because the last one never reached its node."""
        if error.code is Unavailable.code and self.service_nodes.connected(self._tried):
            return True
        now = asyncio.get_running_loop().time()
        if self._failed_at is None:
            self._failed_at = now
        self._moves += 1
        return self._moves <= MOVES and now < self._failed_at + MOVE_TIME and self.service_nodes.untried(self._tried)

    def _explain(self, error: Error) -> None:
        """Adds the reasons of the other nodes to the error that ends the call."""
        others = [reason for reason in self._reasons.values() if reason not in error.message]
        if others and (error.unanswered or not error.may_have_run):  # A server's own error stays as it was written.
            more = len(others) - MANY_REASONS
            error.message += "; before that: " + "; ".join(others[:MANY_REASONS])
            if more > 0:
                error.message += f"; and {more} more"

    async def _back_off(self, error: Error) -> None:
        policy = self._retry
        self._sent += 1
        if not policy.allows(self._call.method, error):
            if error.unanswered and error.code is Unavailable.code:
                error.message += "; it may have run, and is not declared idempotent, so it was not sent again"
            raise self._last(error)
        if self._sent >= policy.attempts or error.code not in policy.codes:
            raise self._last(error)
        if error.may_have_run and not self.service_nodes.budget.spend():
            raise self._last(error)
        delay = max(backoff.delay(self._sent, policy.backoff, policy.max_backoff), _wanted(error))
        if delay > max(LONGEST_WAIT, policy.max_backoff):
            raise self._last(error)
        deadline = self._call.deadline
        if deadline is not None and asyncio.get_running_loop().time() + delay >= deadline:
            raise self._last(error)
        await asyncio.sleep(delay)

    def _remember(self, error: Error) -> None:
        """Keeps what an attempt failed with that another one follows."""
        self._may_have_run = self._may_have_run or error.may_have_run
        if self._first is None:
            self._first = copy(error)  # without the traceback, whose frames hold the call

    def _last(self, error: Error) -> Error:
        """Returns what the call ends with: an error, with that of the first attempt as its cause and in its text."""
        first = self._first
        if first is None:
            return error
        error.__cause__ = first
        if (error.unanswered or not error.may_have_run) and first.message not in error.message:
            error.message += f"; the first attempt failed with {first}"
        error.may_have_run = error.may_have_run or self._may_have_run
        return error


def _wanted(error: Error) -> float:
    """Returns the seconds that a server wants its client to wait before another attempt; 0 if it does not say."""
    info = error.detail(RetryInfo) if error.details else None
    return 0.0 if info is None else max(0.0, info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
