"""Clients that choose nodes by version, metadata and zone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

import micro_rt as micro
from tests.helpers.fleet import Fleet
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text

SAME = micro.NodeFilter(zone="same")
ONCE = micro.RetryPolicy(attempts=1)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(stack)


async def of_zones(fleet: Fleet, **zones: str) -> None:
    """Starts a server in each zone."""
    for name, zone in zones.items():
        await fleet.serve(name, metadata={"zone": zone})


async def test_a_client_calls_nodes_of_one_version(fleet: Fleet) -> None:
    await fleet.serve("old", version="1.1")
    await fleet.serve("new", version="1.2")
    await fleet.serve("newest", version="1.2")
    await fleet.connect()
    assert await fleet.calls(LabClient(fleet.client, nodes=micro.NodeFilter(version="1.2")), 20) == {
        "new": 10,
        "newest": 10,
    }
    assert set(await fleet.calls(LabClient(fleet.client), 20)) == {"old", "new", "newest"}


async def test_a_client_calls_nodes_with_certain_metadata(fleet: Fleet) -> None:
    await fleet.serve("a", metadata={"tier": "gold", "disk": "fast"})
    await fleet.serve("b", metadata={"tier": "gold"})
    await fleet.serve("c")
    await fleet.connect()
    gold = LabClient(fleet.client, nodes=micro.NodeFilter(metadata={"tier": "gold"}))
    assert await fleet.calls(gold, 10) == {"a": 5, "b": 5}
    both = LabClient(fleet.client, nodes=micro.NodeFilter(metadata={"disk": "fast", "tier": "gold"}))
    assert await fleet.calls(both, 10) == {"a": 10}


async def test_clients_that_want_the_same_share_their_nodes(fleet: Fleet) -> None:
    await fleet.serve("a", version="1")
    await fleet.serve("b", version="1")
    await fleet.connect()
    counts = [
        await fleet.calls(LabClient(fleet.client, nodes=micro.NodeFilter("1", {"a": "b"} if other else {})), 1)
        for other in (False, False)
    ]
    assert sorted(next(iter(each)) for each in counts) == ["a", "b"], "they take turns together"
    assert len(fleet.client.nodes._services) == 1


async def test_nodes_that_come_and_go_are_chosen_too(fleet: Fleet) -> None:
    await fleet.serve("old", version="1")
    await fleet.connect()
    lab = LabClient(fleet.client, nodes=micro.NodeFilter(version="2"), retry=ONCE)
    with pytest.raises(micro.Unavailable):
        await lab.look(Text())
    async with AsyncExitStack() as stack:
        later = Fleet(stack)
        later.registry = fleet.registry
        await later.serve("new", version="2")
        fleet.servers |= later.servers
        service_nodes = fleet.client.nodes.service_nodes("lab", "lab.Lab", micro.NodeFilter(version="2"))
        await eventually(lambda: len(service_nodes.nodes), equals=1)
        assert await fleet.calls(lab, 5) == {"new": 5}
    await eventually(lambda: len(service_nodes.nodes), equals=0)
    with pytest.raises(micro.Unavailable, match=r"version '2'; there is '1'"):
        await lab.look(Text())


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (
            micro.NodeFilter(version="3"),
            r"'lab' has no node of version '3'; there is '1', '2', none$",
        ),
        (
            micro.NodeFilter(metadata={"tier": "tin"}),
            r"'lab' has no node with tier='tin' in its metadata; there is 'gold', none$",
        ),
        (
            micro.NodeFilter(version="2", metadata={"tier": "gold"}),
            r"no node of version '2' with tier='gold' in its metadata; there is none$",
        ),
    ],
)
async def test_a_client_that_no_node_is_right_for_is_told_what_there_is(
    fleet: Fleet, wanted: micro.NodeFilter, problem: str
) -> None:
    await fleet.serve("a", version="1", metadata={"tier": "gold"})
    await fleet.serve("b", version="2")
    await fleet.serve("c")
    await fleet.connect()
    with pytest.raises(micro.Unavailable) as caught:
        await LabClient(fleet.client, nodes=wanted, retry=ONCE).look(Text())
    assert caught.value.id == "micro.no_nodes"
    assert not caught.value.may_have_run
    assert caught.match(problem)


async def test_the_filter_of_a_service_is_for_its_clients_that_have_none(fleet: Fleet) -> None:
    await fleet.serve("a", version="1")
    await fleet.serve("b", version="2")
    await fleet.connect(nodes=micro.NodeFilter(version="1"))
    assert await fleet.calls(LabClient(fleet.client), 4) == {"a": 4}
    assert await fleet.calls(LabClient(fleet.client, nodes=micro.NodeFilter(version="2")), 4) == {"b": 4}
    assert await fleet.calls(LabClient(fleet.client, nodes=micro.NodeFilter()), 4) == {"a": 2, "b": 2}


async def test_another_target_of_one_call_is_filtered_too(fleet: Fleet) -> None:
    class Elsewhere(micro.Interceptor):
        async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
            cast("micro.ClientCall", call).target = "lab"
            return await proceed(request, call)

    await fleet.serve("a", version="1")
    await fleet.serve("b", version="2")
    await fleet.connect()
    wanted = micro.NodeFilter(version="1")
    lab = LabClient(fleet.client, target="nowhere", nodes=wanted, interceptors=[Elsewhere()])
    assert await fleet.calls(lab, 4) == {"a": 4}


@pytest.mark.parametrize("selector", ["round_robin", "random", "least_loaded", "consistent_hash"])
async def test_nodes_of_the_same_zone_get_all_calls(fleet: Fleet, selector: str) -> None:
    await of_zones(fleet, a="north", b="north", c="south", d="south")
    await fleet.serve("e")
    await fleet.connect(selector=selector, metadata={"zone": "north"}, nodes=SAME)
    assert set(await fleet.calls(LabClient(fleet.client), 100)) == {"a", "b"}
    south = LabClient(fleet.client, nodes=micro.NodeFilter(zone="south"))
    assert set(await fleet.calls(south, 100)) == {"c", "d"}


async def test_calls_spill_over_while_every_node_of_the_zone_is_set_aside_and_return(fleet: Fleet) -> None:
    await of_zones(fleet, a="north", b="north", c="south")
    await fleet.connect(metadata={"zone": "north"}, nodes=SAME)
    lab = LabClient(fleet.client)
    assert set(await fleet.calls(lab, 10)) == {"a", "b"}
    fleet.remote("a").failed()  # as after a call that could not reach it
    assert set(await fleet.calls(lab, 10)) == {"b"}, "one node of the zone is enough"
    fleet.remote("b").failed()
    assert set(await fleet.calls(lab, 10)) == {"c"}
    await eventually(lambda: fleet.remote("a").aside or fleet.remote("b").aside, equals=False)
    assert set(await fleet.calls(lab, 10)) == {"a", "b"}


async def test_calls_spill_over_when_every_node_of_the_zone_is_gone_and_return(fleet: Fleet) -> None:
    await of_zones(fleet, c="south")
    await fleet.connect(metadata={"zone": "north"}, nodes=SAME)
    lab = LabClient(fleet.client)
    assert await fleet.calls(lab, 5) == {"c": 5}
    await of_zones(fleet, a="north")
    await eventually(lambda: fleet.calls(lab, 5), equals={"a": 5})


async def test_a_call_tries_the_nodes_of_its_zone_before_others(fleet: Fleet) -> None:
    await of_zones(fleet, a="north", b="north", c="south", d="south")
    await fleet.connect(metadata={"zone": "north"}, nodes=SAME)
    lab = LabClient(fleet.client)
    await fleet.calls(LabClient(fleet.client, nodes=micro.NodeFilter()), 20)  # connects all
    service_nodes = fleet.client.nodes.service_nodes("lab", "lab.Lab", micro.NodeFilter(zone="north"))
    await fleet.calls(lab, 4)
    for _ in range(10):
        order, tried = list[str](), frozenset[str]()
        for _ in range(4):
            remote = service_nodes.pick(tried=tried)
            assert remote is not None
            order.append(fleet.name_of(remote.node.id))
            tried |= {remote.node.id}
        assert (set(order[:2]), set(order[2:])) == ({"a", "b"}, {"c", "d"})


def test_the_same_zone_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="does not say its own zone: pass metadata="):
        micro.Service("client", nodes=SAME)
    with pytest.raises(ValueError, match="does not say its own zone: pass metadata="):
        LabClient(micro.Service("client"), nodes=SAME)


@pytest.mark.parametrize("options", [{"version": 1}, {"zone": None}, {"metadata": {"a": 1}}, {"metadata": "a=b"}])
def test_a_filter_of_other_things_than_text_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(options))}="):
        micro.NodeFilter(**options)


def test_what_is_no_filter_is_refused() -> None:
    with pytest.raises(TypeError, match=r"nodes='1\.2': it is a micro\.NodeFilter"):
        micro.Service("client", nodes=cast("Any", "1.2"))
    with pytest.raises(TypeError, match=r"nodes='1\.2': it is a micro\.NodeFilter"):
        LabClient(micro.Service("client"), nodes=cast("Any", "1.2"))


def test_a_filter_keeps_the_metadata_that_it_was_given() -> None:
    given = {"tier": "gold"}
    wanted = micro.NodeFilter(metadata=given)
    given["tier"] = "tin"
    assert wanted.metadata == {"tier": "gold"}
    assert wanted == micro.NodeFilter(metadata={"tier": "gold"})
    assert hash(wanted) == hash(micro.NodeFilter(metadata={"tier": "gold"}))
