"""What the selectors that know the load promise, counted in simulated calls."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from micro_rt.client import load
from micro_rt.client.load import CallRecord, MeasuredConnection
from micro_rt.context import CallInfo
from micro_rt.errors import Code, DeadlineExceeded, Error, Internal, NotFound, Unavailable
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.selector.base import Load
from micro_rt.selector.consistent_hash import ConsistentHash
from micro_rt.selector.least_loaded import LeastLoaded
from micro_rt.selector.round_robin import RoundRobin
from micro_rt.transport.base import ClientStream, Connection
from tests.helpers.simulated_load import Measured, Simulation, nodes_of, percentile

SLOW = "node-002"
FAST, TEN_TIMES = 0.01, 0.1
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True, params=range(3))
def seeded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Draws the same numbers each time."""
    state = random.getstate()
    random.seed(request.param)
    yield
    random.setstate(state)


def about(seconds: float) -> float:
    """Returns a latency that is up to a fifth shorter or longer."""
    return seconds * random.uniform(0.8, 1.2)


def one_slow_node(node_id: str) -> float:
    """Returns the latency of a node; that of one is ten times that of the others."""
    return about(TEN_TIMES if node_id == SLOW else FAST)


def of_key(number: int) -> Metadata:
    """Returns the metadata of a call with one of many keys."""
    return Metadata({"x-hash-key": f"key {number}"})


def owners(selector: ConsistentHash, nodes: tuple[Node, ...], keys: int = 4000) -> list[str]:
    """Returns the id of the node of each key."""
    return [selector.select(nodes, (), {}, of_key(number)).id for number in range(keys)]


# --- least loaded


@pytest.mark.parametrize(("clients", "pause"), [(1, 0.0), (4, 0.02), (16, 0.0), (32, 0.0)])
def test_a_slow_node_of_four_gets_less_than_half_its_share_and_p99_is_a_third(clients: int, pause: float) -> None:
    least_loaded = Simulation(LeastLoaded(), one_slow_node, nodes_of(4))
    in_turn = Simulation(RoundRobin(), one_slow_node, nodes_of(4))
    for simulation in (least_loaded, in_turn):
        simulation.run(4000, clients, pause=pause)
    assert in_turn.calls[SLOW] == 1000
    assert 0 < least_loaded.calls[SLOW] < 500
    assert percentile(least_loaded.seconds, 0.99) <= percentile(in_turn.seconds, 0.99) / 3


def test_nodes_that_are_equally_fast_get_equal_shares() -> None:
    simulation = Simulation(LeastLoaded(), lambda _: about(FAST), nodes_of(4))
    simulation.run(4000, 16)
    assert all(800 <= calls <= 1200 for calls in simulation.calls.values())


def test_a_node_that_was_slow_gets_its_share_again() -> None:
    slow = {SLOW}
    simulation = Simulation(LeastLoaded(), lambda node_id: about(TEN_TIMES if node_id in slow else FAST), nodes_of(4))
    simulation.run(4000, 4)
    assert simulation.calls[SLOW] < 100
    slow.clear()
    simulation.now += load.HALF_LIFE * 5
    simulation.calls.clear()
    simulation.run(4000, 4)
    assert simulation.calls[SLOW] > 500


def test_a_node_that_is_tried_again_and_is_still_slow_gets_one_call_at_a_time() -> None:
    simulation = Simulation(LeastLoaded(), one_slow_node, nodes_of(4))
    simulation.run(1000, 16)
    simulation.loads[SLOW].record._replied_at = simulation.now - load.HALF_LIFE * 6
    simulation.calls.clear()
    simulation.run(100, 6)
    assert simulation.calls[SLOW] <= 2


def test_a_node_that_fails_fast_is_left_and_comes_back() -> None:
    broken = {SLOW}
    simulation = Simulation(
        LeastLoaded(),
        lambda node_id: about(FAST / 10 if node_id in broken else FAST),
        nodes_of(4),
        lambda node_id: node_id in broken,
    )
    simulation.run(4000, 8)
    assert 0 < simulation.calls[SLOW] < 40
    broken.clear()
    simulation.calls.clear()
    simulation.run(4000, 8)
    assert simulation.calls[SLOW] < 40, "it comes back before its failures have faded"
    simulation.now += load.HALF_LIFE * 6
    simulation.calls.clear()
    simulation.run(4000, 8)
    assert simulation.calls[SLOW] > 500


def test_a_new_node_gets_as_many_calls_as_the_others_before_it_has_answered() -> None:
    simulation = Simulation(LeastLoaded(), lambda _: about(FAST), nodes_of(4))
    simulation.run(2000, 16)
    simulation.nodes = nodes_of(5)
    simulation.calls.clear()
    simulation.run(20, 20)
    assert 1 <= simulation.calls["node-004"] <= 7


def test_calls_in_flight_decide_while_no_latency_is_known() -> None:
    nodes = nodes_of(2)
    loads = {nodes[0].id: Measured(in_flight=1), nodes[1].id: Measured(in_flight=0)}
    assert {LeastLoaded().select(nodes, (), loads).id for _ in range(50)} == {nodes[1].id}


def test_what_is_known_of_a_node_says_nothing_against_one_that_is_not_known() -> None:
    nodes = nodes_of(2)
    known = Measured()
    known.record.took(1e-6)
    loads = {nodes[0].id: known, nodes[1].id: Measured()}
    assert {LeastLoaded().select(nodes, (), loads).id for _ in range(50)} == {node.id for node in nodes}


# --- consistent hash


def test_a_key_has_one_node_and_the_nodes_have_about_equal_shares() -> None:
    nodes = nodes_of(5)
    selector = ConsistentHash()
    first = owners(selector, nodes)
    assert owners(selector, nodes) == first == owners(ConsistentHash(), nodes)
    assert all(0.6 / 5 < count / len(first) < 1.5 / 5 for count in Counter(first).values())


def test_when_a_node_goes_its_keys_move_and_no_others() -> None:
    selector, nodes = ConsistentHash(), nodes_of(5)
    before = owners(selector, nodes)
    after = owners(selector, (*nodes[:2], *nodes[3:]))
    assert [b for a, b in zip(before, after, strict=True) if a != SLOW] == [a for a in before if a != SLOW]
    moved = Counter(b for a, b in zip(before, after, strict=True) if a == SLOW)
    assert set(moved) == {node.id for node in nodes} - {SLOW}, "they spread over all others"
    assert sum(moved.values()) <= 1.5 * len(before) / 5
    assert owners(selector, nodes) == before, "they come back with the node"


def test_when_a_node_comes_it_gets_its_share_and_no_other_key_moves() -> None:
    selector = ConsistentHash()
    before, after = owners(selector, nodes_of(5)), owners(selector, nodes_of(6))
    moved = [b for a, b in zip(before, after, strict=True) if a != b]
    assert set(moved) == {"node-005"}
    assert 0 < len(moved) <= 1.5 * len(before) / 6
    assert after == owners(ConsistentHash(), nodes_of(6)), "the past of a selector decides nothing"


def test_a_node_to_avoid_keeps_its_keys_for_later() -> None:
    selector, nodes = ConsistentHash(), nodes_of(5)
    key = of_key(1)
    owner = selector.select(nodes, (), {}, key)
    other = selector.select(nodes, {owner.id}, {}, key)
    third = selector.select([node for node in nodes if node not in (owner, other)], (owner.id, other.id), {}, key)
    assert len({owner, other, third}) == 3
    assert selector.select(nodes, (), {}, key) is owner


def test_after_many_changes_the_ring_is_that_of_the_nodes_that_are_left() -> None:
    selector = ConsistentHash()
    for first in range(0, 400, 7):
        selector.select(nodes_of(5, first), (), {}, of_key(1))
    assert owners(selector, nodes_of(5), 500) == owners(ConsistentHash(), nodes_of(5), 500)
    assert len(selector._points) == len(selector._owners) <= 64 * (2 * 5 + 32)


@pytest.mark.parametrize("count", [2, 5, 16])
def test_no_node_has_more_than_its_bound_of_the_calls_in_flight(count: int) -> None:
    selector, nodes = ConsistentHash(), nodes_of(count)
    loads = {node.id: Measured() for node in nodes}
    for number in range(1, 500):
        loads[selector.select(nodes, (), loads, of_key(0)).id].in_flight += 1
        assert max(each.in_flight for each in loads.values()) <= -(-1.25 * number // count)


def test_the_bound_holds_nearly_among_many_nodes() -> None:
    selector, nodes = ConsistentHash(), nodes_of(200)
    loads = {node.id: Measured() for node in nodes}
    for number in range(1, 4000):
        loads[selector.select(nodes, (), loads, of_key(number % 10)).id].in_flight += 1
        assert max(each.in_flight for each in loads.values()) <= 1.25 * (number + 12) / 200 + 1


def test_among_many_nodes_the_calls_in_flight_are_counted_anew_soon() -> None:
    selector, nodes = ConsistentHash(), nodes_of(200)
    loads = {node.id: Measured(in_flight=10) for node in nodes}
    owner = selector.select(nodes, (), loads, of_key(0))
    for each in loads.values():
        each.in_flight = 1
    loads[owner.id].in_flight = 2
    selected = [selector.select(nodes, (), loads, of_key(0)) for _ in range(13)]
    assert selected[-1] is not owner


def test_without_a_bound_a_key_stays_at_its_node() -> None:
    selector, nodes = ConsistentHash(bound=None), nodes_of(5)
    loads: dict[str, Load] = {node.id: Measured(in_flight=100 * number) for number, node in enumerate(nodes)}
    for number in range(200):
        idle = selector.select(nodes, (), {}, of_key(number))
        assert selector.select(nodes, (), loads, of_key(number)) is idle


def test_a_call_without_the_key_takes_the_next_node_in_turn() -> None:
    selector, nodes = ConsistentHash("x-tenant"), nodes_of(5)
    calls = [selector.select(nodes, (), {}, of_key(1)).id for _ in range(20)]
    assert calls == calls[:5] * 4
    assert len(set(calls)) == 5


def test_every_process_hashes_alike() -> None:
    program = "from tests.unit.test_load_selectors import *\nprint(','.join(owners(ConsistentHash(), nodes_of(7), 50)))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {",".join(owners(ConsistentHash(), nodes_of(7), 50))}


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: ConsistentHash("a b"), "metadata key 'a b'"),
        (lambda: ConsistentHash("grpc-timeout"), "reserved"),
        (lambda: ConsistentHash(bound=1.0), r"bound=1\.0: it is a number above 1"),
        (lambda: ConsistentHash(bound=float("nan")), "bound=nan"),
        (lambda: ConsistentHash.with_options("bound=much"), "bound=much"),
        (lambda: ConsistentHash.with_options("keys=a"), "there is no option 'keys'; known: bound, key"),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Callable[[], ConsistentHash], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


# --- what the client knows of a node


def test_failures_and_latency_fade_by_half_and_are_bounded() -> None:
    now = 0.0
    record = CallRecord(lambda: now)
    assert record.latency(0) is None
    record.took(8.0)
    record.noted(Unavailable("gone"))
    now = load.HALF_LIFE
    assert record.latency(0) == pytest.approx(4.0)
    assert record.latency(1) == 8.0, "it fades only while the node has no calls"
    assert record.failures == pytest.approx(0.5)
    for _ in range(100):
        record.noted(Unavailable("gone"))
    assert record.failures == load.MAX_FAILURES
    now = load.FORGOTTEN + 1
    assert record.latency(0) is record.latency(1) is None


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_errors_that_speak_against_the_node_are_failures(code: Code) -> None:
    record = CallRecord(lambda: 0.0)
    record.noted(Error.of(code, "no"))
    assert bool(record.failures) == (code in load._FAULTS)


class Answers(Connection):
    """Answers each call with what the test says."""

    def __init__(self, answer: bytes | Error) -> None:
        self.answer = answer

    async def connect(self) -> None: ...

    async def open(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> ClientStream:
        raise NotImplementedError

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
    ) -> bytes:
        await asyncio.sleep(0)
        if isinstance(self.answer, Error):
            raise self.answer
        return self.answer

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (b"yes", True),
        (NotFound("an answer"), True),
        (NotFound("not by the node", may_have_run=False), False),
        (Internal("it fails fast"), False),
        (Unavailable("lost", unanswered=True), False),
        (DeadlineExceeded("late", unanswered=True), False),
    ],
)
async def test_what_counts_as_the_latency_of_a_reply(answer: bytes | Error, counts: bool) -> None:
    record = CallRecord()
    connection = MeasuredConnection(Answers(answer), record)
    try:
        assert await connection.unary("/a/b", "proto", EMPTY, None, CallInfo(), b"") == answer
    except Error as error:
        assert error is answer
    assert (record.latency(0) is not None) == counts
