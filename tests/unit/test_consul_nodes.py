"""What the contract cannot ask of a registry: what Consul has from others, what it refuses, and what watching it costs."""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.consul import engine
from micro_rt.backends.consul.address import ConsulAddress
from micro_rt.backends.consul.http import refusal
from micro_rt.backends.consul.registry import ConsulRegistry
from micro_rt.errors import (
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from micro_rt.go_micro.nodes import decode_tags, deflate
from micro_rt.node import EndpointInfo, Node
from micro_rt.registry.base import LeaseLost, Registration
from micro_rt.testing.proxy import FaultProxy
from tests.helpers.lab import OurLab
from tests.helpers.waiting import eventually
from tests.servers.consul import Consul
from tests.servers.server import http_json

PATIENCE = 60.0
"""Seconds for what takes a few at most, on a machine that is busy with other things."""

MakeConsul = Callable[..., Consul]
Put = Callable[..., Awaitable[Any]]


def name_of(text: str) -> str:
    return f"{text}-{uuid.uuid4().hex[:8]}"


def node_of(id: str = "node") -> Node:
    return Node(name_of(id), "127.0.0.1:1")


@pytest.fixture
async def registry(consul: Any) -> Any:
    registry = ConsulRegistry(consul.url)
    await registry.open()
    yield registry
    await registry.close()


@pytest.fixture
def register(consul: Any) -> Put:
    """Registers as a program that knows nothing of micro-rt would."""

    async def register(**service: Any) -> None:
        status, text = await asyncio.to_thread(http_json, consul.address, "PUT", "/v1/agent/service/register", service)
        assert status == 200, text

    return register


async def found(registry: ConsulRegistry, name: str, *ids: str) -> tuple[Node, ...]:
    async def there() -> bool:
        return [node.id for node in await registry.resolve(name)] == sorted(ids)

    await eventually(there, f"{name} does not become {ids}")
    return await registry.resolve(name)


# What others register


async def test_a_node_of_go_micro(registry: ConsulRegistry, register: Put) -> None:
    name = name_of("greeter")
    # As go-micro 5.8 wrote them: each key of the metadata, an endpoint, and the version 1.0.0 of its own test vectors.
    tags = [
        "t-" + "789caa564aceccd32b2e2955b252502acecf4dd54b492c4954aa050400" + "00ffff5ddd072d",
        "v-789c32d433d03300040000ffff02ce00ee",
    ]
    await register(ID=f"{name}-1", Name=name, Address="10.1.2.3", Port=4000, Tags=tags, Meta={"protocol": "mucp"})
    (node,) = await found(registry, name, f"{name}-1")
    assert (node.address, node.version) == ("10.1.2.3:4000", "1.0.0")
    assert node.services == frozenset()


async def test_plain_tags_of_old_go_micro(registry: ConsulRegistry, register: Put) -> None:
    name = name_of("old")
    tags = ['t={"zone":"a"}', 't={"protocol":"mucp"}', 'e={"name":"Old.Call","request":null,"response":null}', "v=0.9"]
    await register(ID=f"{name}-1", Name=name, Address="::1", Port=5, Tags=tags)
    (node,) = await found(registry, name, f"{name}-1")
    assert node == Node(
        f"{name}-1",
        "[::1]:5",
        "mucp",
        "0.9",
        metadata={"zone": "a", "protocol": "mucp"},
        endpoints=(EndpointInfo("Old.Call"),),
    )


async def test_tags_of_other_uses_say_nothing(registry: ConsulRegistry, register: Put) -> None:
    name = name_of("trap")
    tags = ["e", "t", "v", "", "edge", "traefik.enable=true", "v-nothex", "t-00", "e-", "t={broken", "v2", "v=3"]
    await register(ID=f"{name}-1", Name=name, Address="h", Port=5, Tags=tags, Meta={"zone": "b"})
    (node,) = await found(registry, name, f"{name}-1")
    assert node == Node(f"{name}-1", "h:5", "grpc", "3", metadata={"zone": "b"})


async def test_tags_that_cannot_be_read_hide_no_node(registry: ConsulRegistry, register: Put) -> None:
    name = name_of("hostile")
    for number, tag in enumerate(("t-" + deflate('{"a":' * 50_000), "e-" + deflate("[" * 100_000), "v-zz"), 1):
        await register(ID=f"{name}-{number}", Name=name, Address="h", Port=5, Tags=[tag, "v=3"])
    watch = registry.watch(name)
    assert [node.id for node in await anext(watch)] == [f"{name}-1", f"{name}-2", f"{name}-3"]
    assert {node.version for node in await registry.resolve(name)} == {"3"}
    await watch.aclose()


async def test_a_service_with_meta_only(registry: ConsulRegistry, register: Put) -> None:
    name = name_of("java")
    await register(ID=f"{name}-1", Name=name, Port=5, Meta={"version": "7", "protocol": "http", "zone": "c"})
    (node,) = await found(registry, name, f"{name}-1")
    # Without an address of its own it is where its agent is.
    assert (node.address, node.version, node.transport) == ("127.0.0.1:5", "7", "http")
    assert node.metadata["zone"] == "c"
    assert (await registry.names())[name] == (node,)


async def test_what_cannot_be_called_is_left_out(registry: ConsulRegistry, register: Put) -> None:
    name = name_of("portless")
    await register(ID=f"{name}-1", Name=name, Address="h")
    await register(ID=f"{name}-2", Name=name, Address="h", Port=5)
    proxied = {"DestinationServiceName": name}
    await register(ID=f"{name}-3", Name=name, Address="h", Port=6, Kind="connect-proxy", Proxy=proxied)
    await found(registry, name, f"{name}-2")
    assert "consul" not in await registry.names()


@pytest.mark.parametrize("count", [3, 40], ids=["name by name", "agent by agent"])
async def test_all_names_at_once(count: int, make_consul: MakeConsul) -> None:
    server = make_consul()
    await server.start()
    registry = ConsulRegistry(server.url)
    await registry.open()
    nodes = {name_of("name"): (node_of("1"), node_of("2")) for _ in range(count)}
    for name, (one, two) in nodes.items():
        await registry.register(Registration(one, (name,)), ttl=300.0)
        await registry.register(Registration(two, (name,)), ttl=300.0)
    (name, (one, two)), *_ = nodes.items()
    await registry.register(Registration(one, (name, "other")), ttl=1.0)
    service = {"ID": "ill", "Name": "ill", "Port": 1, "Check": {"TTL": "10m"}}
    status, text = await asyncio.to_thread(server.request, "PUT", "/v1/agent/service/register", service)
    assert status == 200, text
    assert await registry.names() == {**nodes, "other": (one,)}
    await eventually(lambda: gone(registry, "other"), "the lease does not run out")
    assert await registry.names() == {**nodes, name: (two,)}
    await registry.close()


async def gone(registry: ConsulRegistry, name: str) -> bool:
    return not await registry.resolve(name)


async def test_any_critical_check_hides_a_node(registry: ConsulRegistry, register: Put) -> None:
    name = name_of("checked")
    for number, states in enumerate((("passing", "warning"), ("passing", "critical"), ("warning",), ()), 1):
        checks = [{"CheckID": f"{name}-{number}-{state}", "TTL": "10m", "Status": state} for state in states]
        await register(ID=f"{name}-{number}", Name=name, Address="h", Port=number, Checks=checks)
    await found(registry, name, f"{name}-1", f"{name}-3", f"{name}-4")
    assert f"{name}-2" not in {node.id for node in await registry.resolve(name)}


# What is registered


async def test_what_go_micro_reads(registry: ConsulRegistry, consul: Any) -> None:
    names = (name_of("greeter"), "greeter.v1" + uuid.uuid4().hex[:6])
    long = "x" * 600
    node = Node(
        name_of("greeter"),
        "[2001:db8::1]:443",
        version="1.2",
        services=frozenset({"greeter.v1.Greeter"}),
        metadata={"zone": "a", "dotted.key": "b", "long": long},
        endpoints=(EndpointInfo("Greeter.SayHello"),),
    )
    await registry.register(Registration(node, names), ttl=90.0)
    for number, name in enumerate(names):
        _, entries = await asyncio.to_thread(http_json, consul.address, "GET", f"/v1/health/service/{name}")
        (entry,) = entries
        service = entry["Service"]
        assert service["ID"] == (f"{node.id}:{name}" if number else node.id)
        assert (service["Address"], service["Port"]) == ("2001:db8::1", 443)
        metadata, endpoints, version = decode_tags(service["Tags"])
        assert (version, endpoints) == ("1.2", node.endpoints)
        assert metadata.items() >= {"protocol": "grpc", "registry": "consul", "dotted.key": "b", "long": long}.items()
        assert (
            service["Meta"].items() >= {"protocol": "grpc", "server": "grpc", "zone": "a", "micro-id": node.id}.items()
        )
        assert not {"dotted.key", "long"} & service["Meta"].keys(), "Consul's Meta does not take these"
        (check,) = [check for check in entry["Checks"] if check["ServiceID"]]
        assert (check["Type"], check["Status"]) == ("ttl", "passing")
    _, checks = await asyncio.to_thread(http_json, consul.address, "GET", "/v1/agent/checks")
    assert any(check["ServiceID"] == node.id for check in checks.values())


@pytest.mark.parametrize("id", ['a "quoted" one', "back\\slash", "a/b/c", "ä☃", "per%cent?&#", "dots..and`ticks`"])
async def test_ids_and_names_of_any_kind(id: str, registry: ConsulRegistry) -> None:
    node = Node(name_of(id), "127.0.0.1:1")
    names = (name_of(id), name_of(f"{id} (2)"))
    lease = await registry.register(Registration(node, names), ttl=30.0)
    await lease.renew()
    for name in names:
        assert await registry.resolve(name) == (node,)
    await lease.revoke()
    for name in names:
        assert await registry.resolve(name) == ()
    with pytest.raises(LeaseLost):
        await lease.renew()


async def test_an_address_that_consul_cannot_hold(registry: ConsulRegistry) -> None:
    with pytest.raises(InvalidArgument, match=r"memory:1.*a host and a port"):
        await registry.register(Registration(Node("id", "memory:1:x"), ("a",)))
    with pytest.raises(InvalidArgument, match="longer than the 512 bytes"):
        await registry.register(Registration(Node("i" * 513, "h:1"), ("a",)))


# Consul asks the node


async def test_consul_asks_a_service_for_its_health(consul: Any) -> None:
    name = name_of("asked")
    service = micro.Service(name, registry=f"{consul.url}/?check=grpc&interval=1s")
    service.handle(OurLab())
    async with service:

        async def asked() -> bool:
            _, checks = await asyncio.to_thread(http_json, consul.address, "GET", "/v1/agent/checks")
            own = [check for check in checks.values() if check["ServiceName"] == name]
            assert [check["Status"] for check in own] == ["passing"], own
            return "success" in own[0]["Output"]

        await eventually(asked, "Consul does not ask")
    _, left = await asyncio.to_thread(http_json, consul.address, "GET", f"/v1/health/service/{name}")
    assert left == []


async def test_a_node_that_does_not_answer_consul_goes(consul: Any) -> None:
    name = name_of("deaf")
    registry = ConsulRegistry(f"{consul.url}/?check=grpc&interval=1s")
    await registry.open()
    watch = registry.watch(name)
    assert await anext(watch) == ()
    answers = micro.Service(name_of("answers"), registry=f"memory:{name}")
    answers.handle(OurLab())
    async with asyncio.timeout(PATIENCE):
        async with answers:
            assert answers.node is not None
            node = Node(name_of("node"), answers.node.address)
            lease = await registry.register(Registration(node, (name,)), ttl=0.5)
            assert await anext(watch) == (node,)
        assert await anext(watch) == ()
    await lease.renew()  # Consul has it still, and asks on.
    await lease.revoke()
    with pytest.raises(LeaseLost):
        await lease.renew()
    with pytest.raises(FailedPrecondition, match="check=grpc is for nodes that speak gRPC"):
        await registry.register(Registration(Node("id", "h:1", "http"), (name,)))
    await registry.close()


# What is refused


async def assert_opening_fails(address: str, error: type[Exception], match: str) -> None:
    registry = ConsulRegistry(address)
    with pytest.raises(error, match=match) as raised:
        await registry.open()
    assert "secret" not in str(raised.value)


async def test_nobody_is_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        await assert_opening_fails(
            f"consul://127.0.0.1:{port}", Unavailable, f"127.0.0.1:{port} .*refused.*consul agent -dev.*MICRO_REG"
        )


async def test_something_else_is_there(consul: Any, etcd: Any) -> None:
    await assert_opening_fails(
        f"consul://{consul.address}/?tls=true", Unavailable, "does not speak TLS there: take tls=true out"
    )
    await assert_opening_fails(
        f"consul://{consul.address}/?namespace=a", FailedPrecondition, "needs? Consul Enterprise.*namespace="
    )
    await assert_opening_fails(
        f"consul://{consul.address}/?dc=nowhere", FailedPrecondition, "no datacenter 'nowhere': check dc="
    )
    await assert_opening_fails(f"consul://{etcd.address}", Unavailable, "is something else, not Consul")


async def test_tls_is_explained(make_consul: MakeConsul) -> None:
    server = make_consul(tls="mutual")
    await server.start()
    files = server.certificates
    assert files is not None
    await assert_opening_fails(server.url, Unavailable, "speaks TLS there: add tls=true")
    await assert_opening_fails(f"{server.url}/?tls=true", Unavailable, "certificate that is not trusted.*ca=")
    await assert_opening_fails(f"{server.url}/?tls=true&ca={files.ca}", Unavailable, "TLS|closed|does not answer")
    await assert_opening_fails(
        f"{server.url}/?tls=true&ca={files.key}", FailedPrecondition, "TLS files .* cannot be used"
    )
    both = f"cert={files.client_certificate}&key={files.client_key}"
    await assert_opening_fails(
        f"{server.url}/?tls=true&ca={files.ca}&{both}&server_name=other.test", Unavailable, "not trusted.*other"
    )
    for ways in (f"ca={files.ca}&server_name=localhost", "verify=false"):
        registry = ConsulRegistry(f"{server.url}/?tls=true&{ways}&{both}")
        await registry.open()
        assert await registry.resolve("nobody") == ()
        await registry.close()


async def test_permissions_are_named(make_consul: MakeConsul) -> None:
    server = make_consul(acl=True)
    await server.start()
    name = name_of("a")
    await assert_opening_fails(f"{server.url}/?token=secret", Unauthenticated, "does not know the token")
    reader = await server.make_token('service_prefix "" { policy = "read" }\nnode_prefix "" { policy = "read" }')
    blind = await server.make_token('service_prefix "" { policy = "write" }')
    registry = ConsulRegistry(f"{server.url}/?token={reader}")
    await registry.open()
    assert await registry.resolve(name) == ()
    with pytest.raises(PermissionDenied, match=f"service:write.*{name}"):
        await registry.register(Registration(node_of(), (name,)))
    await registry.close()
    registry = ConsulRegistry(f"{server.url}/?token={blind}")
    await registry.open()
    with pytest.raises(PermissionDenied, match="needs node:read, and service:read"):
        await registry.register(Registration(node_of(), (name,)))
    master = ConsulRegistry(f"{server.url}/?token={server.token}")
    await master.open()
    assert await master.resolve(name) == (), "what could not be shown stayed"
    await master.register(Registration(node_of(), (name,)))
    with pytest.raises(PermissionDenied, match="hides the nodes"):
        await registry.resolve(name)
    await registry.close()
    # No more than the documentation asks for.
    narrow = await server.make_token(
        f'service "{name}" {{ policy = "write" }}\nservice "{name}.v1" {{ policy = "write" }}\n'
        f'service "other" {{ policy = "read" }}\nnode_prefix "" {{ policy = "read" }}'
    )
    registry = ConsulRegistry(f"{server.url}/?token={narrow}")
    await registry.open()
    node, other = node_of("narrow"), node_of("other")
    await master.register(Registration(other, ("other", "hidden")))
    for lease in [await registry.register(Registration(node, (name, f"{name}.v1"))) for _ in range(2)][1:]:
        await lease.renew()
        assert node in await registry.resolve(name)
        assert await registry.resolve("other") == (other,)
        assert (await registry.names()).keys() == {name, f"{name}.v1", "other"}
        await lease.revoke()
    assert await registry.resolve(f"{name}.v1") == ()
    await master.close()
    await registry.close()


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (403, "Permission denied: token lacks permission 'service:write'", PermissionDenied),
        (403, "permission denied: token lacks permission", PermissionDenied),
        (500, "rpc error making call: Permission denied", PermissionDenied),
        (500, "rpc error making call: permission denied", PermissionDenied),
        (500, "rpc error making call: PERMISSION DENIED", PermissionDenied),
        (403, "ACL not found", Unauthenticated),
        (401, "", Unauthenticated),
        (500, "rpc error making call: ACL not found", Unauthenticated),
        (500, "No cluster leader", Unavailable),
    ],
)
def test_a_refusal_is_recognised_however_it_is_written(status: int, text: str, error: type[micro.Error]) -> None:
    assert type(refusal(ConsulAddress("host", 8500), status, text)) is error


RULES = 'service_prefix "" { policy = "write" }\nnode_prefix "" { policy = "read" }'


async def forget(server: Consul, token: str) -> None:
    """Deletes a token."""

    def delete() -> None:
        _, found = server.request("GET", "/v1/acl/token/self", token=token)
        assert server.request("DELETE", f"/v1/acl/token/{found['AccessorID']}")[0] == 200

    await asyncio.to_thread(delete)


async def test_a_token_that_was_rotated_is_read_again(
    make_consul: MakeConsul, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt")
    server = make_consul(acl=True)
    await server.start()
    name, file = name_of("a"), tmp_path / "token"
    first, second = [await server.make_token(RULES) for _ in range(2)]
    file.write_text(first)
    registry = ConsulRegistry(f"{server.url}/?token_file={file}")
    await registry.open()
    node = node_of()
    lease = await registry.register(Registration(node, (name, f"{name}.v1")), ttl=3)
    watch = registry.watch(name)
    assert await anext(watch) == (node,)

    # A token that is refused, and no other in the file.
    await forget(server, first)
    with pytest.raises(Unauthenticated, match="does not know the token"):
        await lease.renew()
    assert "holds another" not in caplog.text
    file.unlink()
    with pytest.raises(Unauthenticated, match="does not know the token"):
        await registry.resolve(name)

    file.write_text(f"{second}\n")
    await lease.renew()
    assert await registry.resolve(name) == (node,)
    assert caplog.text.count("holds another, which is used from now on") == 1
    # The agent tells its servers with the token that a service was registered with: without that, nobody learns that the
    # node, which is not renewed from here on, is gone.
    await found(registry, name)
    await found(registry, f"{name}.v1")
    other = node_of()
    lease = await registry.register(Registration(other, (name,)), ttl=3)
    await found(registry, name, other.id)
    await lease.revoke()
    assert await registry.resolve(name) == ()
    await registry.close()


async def test_a_token_of_the_address_is_not_looked_for_elsewhere(make_consul: MakeConsul) -> None:
    server = make_consul(acl=True)
    await server.start()
    token = await server.make_token(RULES)
    registry = ConsulRegistry(f"{server.url}/?token={token}")
    await registry.open()
    await forget(server, token)
    with pytest.raises(Unauthenticated, match="does not know the token"):
        await registry.resolve(name_of("a"))
    await registry.close()


async def test_a_token_is_in_no_log(make_consul: MakeConsul, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = make_consul(acl=True)
    await server.start()
    registry = ConsulRegistry(f"{server.url}/?token={server.token}")
    await registry.open()
    watch = registry.watch(name_of("a"))
    await anext(watch)
    await server.kill()
    with pytest.raises(Unavailable) as raised:
        await registry.resolve(name_of("a"))

    async def noticed() -> bool:
        return bool(registry.problem)

    await eventually(noticed, "the outage is not noticed")
    assert server.token not in str(raised.value) + registry.problem + caplog.text
    assert "going on with what is known" in caplog.text
    await registry.close()


# What watching costs


async def test_many_names_take_few_connections(consul: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "micro_rt")
    prefix = name_of("many")
    names = [f"{prefix}-{number:03}" for number in range(300)]
    async with FaultProxy(consul.address) as proxy:
        watcher, other = ConsulRegistry(f"consul://{proxy.address}"), ConsulRegistry(consul.url)
        await watcher.open()
        await other.open()
        first = await other.register(Registration(node_of("first"), (names[0], names[-1])), ttl=300.0)
        watches = [watcher.watch(name) for name in names]
        initial = await asyncio.gather(*map(anext, watches))
        assert [len(nodes) for nodes in initial] == [1, *[0] * 298, 1]
        # 16 of their own, two groups for the others, and what requests that come together are sent on.
        assert proxy.connections <= 16 + 2 + 24
        waiting = [asyncio.ensure_future(anext(watch, None)) for watch in watches]
        for number in (1, 15, 16, 150, 298):
            node = node_of(str(number))
            lease = await other.register(Registration(node, (names[number],)), ttl=300.0)
            async with asyncio.timeout(PATIENCE):
                assert await waiting[number] == (node,)
                moved = Node(node.id, "127.0.0.1:2")
                lease = await other.register(Registration(moved, (names[number],)), ttl=300.0)
                await next_is(watches[number], moved)
                await lease.revoke()
                await next_is(watches[number])
        await first.revoke()
        async with asyncio.timeout(PATIENCE):
            assert await waiting[0] == await waiting[-1] == ()
        notified = [number for number, task in enumerate(waiting) if task.done()]
        assert notified == [0, 1, 15, 16, 150, 298, 299]
        late = name_of("late")
        watch = watcher.watch(late)
        assert await anext(watch) == ()
        node = node_of("late")
        await other.register(Registration(node, (late,)), ttl=300.0)
        async with asyncio.timeout(PATIENCE):
            assert await anext(watch) == (node,)
        assert proxy.connections <= 16 + 2 + 24
        await proxy.cut()
        await proxy.restore()
        again = await other.register(Registration(node_of("again"), (names[200],)), ttl=300.0)
        async with asyncio.timeout(PATIENCE):
            assert len(await waiting[200]) == 1
        await again.revoke()
        await watcher.close()
        await asyncio.gather(*(task for task in waiting if not task.done()), return_exceptions=True)
        await other.close()


async def next_is(watch: Any, *nodes: Node) -> None:
    """Reads states until one is as expected: the moment between two registrations may be seen, or not."""
    while await anext(watch) != nodes:
        pass


async def test_watches_of_one_name_share_a_connection(consul: Any) -> None:
    name = name_of("shared")
    async with FaultProxy(consul.address) as proxy:
        registries = [ConsulRegistry(f"consul://{proxy.address}") for _ in range(3)]
        for registry in registries:
            await registry.open()
        watches = [registry.watch(name) for registry in registries for _ in range(5)]
        assert await asyncio.gather(*map(anext, watches)) == [()] * 15
        node = node_of()
        await registries[0].register(Registration(node, (name,)))
        assert await asyncio.gather(*map(anext, watches)) == [(node,)] * 15
        quiet = proxy.connections
        assert quiet <= 1 + 15
        waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
        await asyncio.sleep(0)
        del watches
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        for registry in registries:
            await registry.close()

        async def closed() -> bool:
            return not proxy.connections

        await eventually(closed, "connections stay open")


async def test_too_many_connections_are_told(
    make_consul: MakeConsul, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Consul counts those of all processes on a machine, and those of clients that have left until their queries are over."""
    monkeypatch.setattr(engine, "WAIT", (2.0, 3.0))
    caplog.set_level(logging.INFO, "micro_rt.consul")
    server = make_consul(config={"limits": {"http_max_conns_per_client": 8}})
    await server.start()
    name = name_of("a")
    many, one = ConsulRegistry(server.url), ConsulRegistry(f"{server.url}/?timeout=4s")
    await one.open()
    await many.open()
    watches = [many.watch(name_of("many")) for _ in range(12)]
    reading = [asyncio.ensure_future(anext(watch)) for watch in watches]
    watch = one.watch(name)
    assert await anext(watch) == ()
    waiting = asyncio.ensure_future(anext(watch))

    async def notified() -> bool:
        return "fails again and again, and is tried on: Consul at" in caplog.text

    await eventually(notified, "nobody is told")
    assert "going on with what is known" not in caplog.text
    assert many.problem == one.problem == ""
    for task in reading:
        task.cancel()
    await asyncio.wait(reading)
    del watches, reading, task
    await many.close()
    node = node_of()

    async def registered() -> bool:
        try:
            await one.register(Registration(node, (name,)))
        except ResourceExhausted:
            return False  # Consul has not seen yet that the others are closed.
        return True

    await eventually(registered, "the connections that were closed still count")
    async with asyncio.timeout(PATIENCE):
        assert await waiting == (node,)
    await one.close()
