"""What is between the registry and a real etcd: the keys, who may do what, TLS."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from micro_rt.backends.etcd import mirror
from micro_rt.backends.etcd.client import Tokens
from micro_rt.backends.etcd.registry import EtcdRegistry
from micro_rt.errors import FailedPrecondition, PermissionDenied, Unauthenticated, Unavailable
from micro_rt.node import EndpointInfo, Node, ValueInfo
from micro_rt.registry.base import Registration
from tests.helpers.waiting import eventually
from tests.servers.etcd import Etcd

LIMIT = 60.0
Make = Callable[..., Etcd]

# As go-micro v5.8.0 writes it; see also tests/interop for its own registry on the same etcd.
OF_GO_MICRO = (
    '{"name":"NAME","version":"latest","metadata":null,"endpoints":[{"name":"Greeter.Hello","request":{"name":"Request",'
    '"type":"Request","values":[{"name":"name","type":"string","values":null}]},"response":null,"metadata":{}}],'
    '"nodes":[{"metadata":{"broker":"http","protocol":"grpc","registry":"etcd","server":"grpc","transport":"grpc"},'
    '"id":"NAME-1","address":"10.0.0.5:41123"}]}'
)


def fresh(text: str = "a") -> str:
    return f"{text}-{uuid.uuid4().hex[:12]}"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def keys(server: Etcd, prefix: str, token: str = "") -> dict[str, dict[str, Any]]:
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    status, answer = server.request("/v3/kv/range", {"key": encoded(prefix), "range_end": encoded(end)}, token=token)
    assert status == 200, answer
    return {base64.b64decode(kv["key"]).decode(): kv for kv in answer.get("kvs", [])}


def put(server: Etcd, key: str, value: str) -> None:
    status, answer = server.request("/v3/kv/put", {"key": encoded(key), "value": encoded(value)})
    assert status == 200, answer


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[EtcdRegistry]:
    registry = EtcdRegistry(url)
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def test_keys_and_values_are_those_of_go_micro(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    node = Node(
        "greeter/1",
        "10.0.0.5:41123",
        version="1.2",
        services=frozenset({"greeter.Greeter"}),
        metadata={"zone": "a"},
        endpoints=(EndpointInfo("Greeter.Hello", ValueInfo("HelloRequest", "HelloRequest")),),
    )
    async with opened(server.url) as registry:
        lease = await registry.register(Registration(node, ("greeter", "team/greeter")), ttl=300)
        found = keys(server, "/micro/")
        assert set(found) == {
            "/micro/registry/greeter/greeter-1",
            "/micro/registry/team-greeter/greeter-1",
            "/micro/registry-nodes/greeter-1",
        }
        service = json.loads(base64.b64decode(found["/micro/registry/team-greeter/greeter-1"]["value"]))
        assert (service["name"], service["version"]) == ("team/greeter", "1.2")
        assert [endpoint["name"] for endpoint in service["endpoints"]] == ["Greeter.Hello"]
        (written,) = service["nodes"]
        assert (written["id"], written["address"]) == ("greeter/1", "10.0.0.5:41123")
        assert written["metadata"].items() >= {"zone": "a", "registry": "etcd", "protocol": "grpc"}.items()
        (lease_id,) = {kv["lease"] for kv in found.values()}
        status, answer = server.request("/v3/lease/timetolive", {"ID": lease_id, "keys": True})
        assert (status, answer["grantedTTL"], len(answer["keys"])) == (200, "300", 3)
        assert (await registry.names()) == {"greeter": (node,), "team/greeter": (node,)}
        await lease.revoke()
        assert keys(server, "/micro/") == {}


async def test_nodes_of_go_micro_are_found(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.url) as registry:
        name = fresh()
        async with asyncio.timeout(LIMIT):
            watch = registry.watch(name)
            assert await anext(watch) == ()
            put(server, f"/micro/registry/{name}/{name}-1", OF_GO_MICRO.replace("NAME", name))
            nodes = await anext(watch)
        (node,) = nodes
        assert (node.id, node.address, node.transport, node.version) == (
            f"{name}-1",
            "10.0.0.5:41123",
            "grpc",
            "latest",
        )
        assert [endpoint.name for endpoint in node.endpoints] == ["Greeter.Hello"]
        assert await registry.resolve(name) == nodes
        assert (await registry.names())[name] == nodes
        # A name that only begins like it is another.
        put(server, f"/micro/registry/{name}x/1", OF_GO_MICRO.replace("NAME", f"{name}x"))
        assert await registry.resolve(name) == nodes


async def test_what_is_no_node_is_left_out_and_told_once(make_etcd: Make, caplog: pytest.LogCaptureFixture) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.url) as registry:
        name, node = fresh(), Node(fresh(), "127.0.0.1:1")
        for key, value in (
            ("1", "not JSON"),
            ("2", "[]"),
            ("3", '{"nodes":[{}]}'),
            ("4", "[" * 100_000),
            ("5", "null"),
            ("6", '{"nodes":' + "1" * 5000 + "}"),
            ("7", '{"nodes":5,"endpoints":[{"request":{"values":5}}]}'),
        ):
            put(server, f"/micro/registry/{name}/{key}", value)
        await registry.register(Registration(node, (name,)))
        for _ in range(3):
            assert await registry.resolve(name) == (node,)
            assert (await registry.names())[name] == (node,)
            assert await anext(registry.watch(name)) == (node,)

    def logged() -> int:
        lines = [record.message for record in caplog.records if "is not a node" in record.message]
        return sum(int(line.partition(" more ")[0]) if " more within a second: " in line else 1 for line in lines)

    await eventually(logged, equals=7)


async def test_a_prefix_of_its_own(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(f"{server.url}/?prefix=/ours/") as ours, opened(server.url) as theirs:
        name, node = fresh(), Node("n", "127.0.0.1:1")
        await ours.register(Registration(node, (name,)))
        assert set(keys(server, "/")) == {f"/ours/{name}/n", "/ours-nodes/n"}
        assert await theirs.resolve(name) == ()
        assert await ours.resolve(name) == (node,)


async def test_too_many_names_for_one_transaction(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.url) as registry:
        with pytest.raises(FailedPrecondition, match="--max-txn-ops"):
            await registry.register(Registration(Node("n", "127.0.0.1:1"), tuple(f"name{n}" for n in range(200))))
        assert keys(server, "/") == {}


async def test_where_the_cluster_is_decides_not_where_the_tunnel_to_it_begins(make_etcd: Make) -> None:
    here, far = make_etcd(), make_etcd(extra=["--advertise-client-urls", "http://etcd.example:2379"])
    await here.start()
    await far.start()
    async with opened(here.url) as registry:
        assert registry.loopback
    async with opened(far.url) as registry:
        assert not registry.loopback


# Who may do what


@pytest.fixture
async def guarded(make_etcd: Make) -> Etcd:
    """An etcd with a user of each kind, whose tokens live for a second after their last use."""
    server = make_etcd(auth=True, extra=["--auth-token-ttl", "1"])
    await server.start()
    root = server.authenticate()
    grants = {
        "service": [(2, "/micro/registry/"), (2, "/micro/registry-nodes/")],
        "client": [(0, "/micro/registry/")],
        "half": [(2, "/micro/registry/")],
        "stranger": [],
    }
    for user, permissions in grants.items():
        calls: list[tuple[str, Any]] = [("user/add", {"name": user, "password": "pw"}), ("role/add", {"name": user})]
        calls += [
            (
                "role/grant",
                {
                    "name": user,
                    "perm": {"permType": kind, "key": encoded(key), "range_end": encoded(key[:-1] + "0")},
                },
            )
            for kind, key in permissions
        ]
        calls.append(("user/grant", {"user": user, "role": user}))
        for path, body in calls:
            status, answer = server.request(f"/v3/auth/{path}", body, token=root)
            assert status == 200, answer
    return server


async def test_what_users_may_do(guarded: Etcd) -> None:
    name, node = fresh(), Node(fresh(), "127.0.0.1:1")
    async with (
        opened(f"etcd://service:pw@{guarded.address}") as service,
        opened(f"etcd://client:pw@{guarded.address}") as client,
        opened(f"etcd://half:pw@{guarded.address}") as half,
    ):
        assert service.loopback
        lease = await service.register(Registration(node, (name,)))
        await lease.renew()
        watch = client.watch(name)
        assert await anext(watch) == (node,)
        for registry in (client, half):
            with pytest.raises(PermissionDenied, match="grant a role of that user readwrite"):
                await registry.register(Registration(Node("other", "127.0.0.1:1"), (name,)))
        await lease.revoke()
        async with asyncio.timeout(LIMIT):
            assert await anext(watch) == ()


@pytest.mark.parametrize(
    ("user", "error", "advice"),
    [
        ("", Unauthenticated, "set ETCD_USERNAME and ETCD_PASSWORD"),
        ("service:wrong@", Unauthenticated, "does not know user 'service' with this password"),
        ("nobody:pw@", Unauthenticated, "does not know user 'nobody'"),
        ("stranger:pw@", PermissionDenied, "user 'stranger' may not"),
    ],
)
async def test_who_may_not_is_told_why(guarded: Etcd, user: str, error: type[Exception], advice: str) -> None:
    with pytest.raises(error, match=advice) as raised:
        await EtcdRegistry(f"etcd://{user}{guarded.address}").open()
    assert "wrong" not in str(raised.value)


async def until_run_out(server: Etcd, token: str) -> None:
    async with asyncio.timeout(LIMIT):
        while server.request("/v3/kv/range", {"key": encoded("/micro/registry/x")}, token=token)[0] == 200:
            await asyncio.sleep(3.0)  # Looking lets it live on.


async def test_a_token_that_has_run_out_is_made_again_by_one_of_all(
    guarded: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask = Tokens._ask

    async def counting(self: Tokens) -> str:
        asked.append(await ask(self))
        return asked[-1]

    monkeypatch.setattr(Tokens, "_ask", counting)
    async with opened(f"etcd://service:pw@{guarded.address}") as registry:
        name, node = fresh(), Node(fresh(), "127.0.0.1:1")
        lease = await registry.register(Registration(node, (name,)))
        assert len(asked) == 1
        assert keys(guarded, "/micro/registry/", asked[0])
        await until_run_out(guarded, asked[0])
        nodes = await asyncio.gather(*(registry.resolve(name) for _ in range(50)), lease.renew(), lease.renew())
        assert nodes[:50] == [(node,)] * 50
        assert len(asked) == 2


async def registered(registry: EtcdRegistry, name: str) -> Node:
    node = Node(fresh(), "127.0.0.1:1")
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                await registry.register(Registration(node, (name,)), ttl=300)
            except Unavailable:
                await asyncio.sleep(0.1)
            else:
                return node


async def test_a_watch_goes_on_when_the_server_has_forgotten_the_tokens(
    guarded: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "QUIET", 10 * LIMIT)  # Asking a silent stream for a sign would bring it about too.
    async with (
        opened(f"etcd://service:pw@{guarded.address}/?timeout=2") as service,
        opened(f"etcd://client:pw@{guarded.address}/?timeout=2") as client,
    ):
        name = fresh()
        node = await registered(service, name)
        watch = client.watch(name)
        assert await anext(watch) == (node,)
        await guarded.kill()
        await guarded.start()
        after = await registered(service, name)
        async with asyncio.timeout(LIMIT):
            assert set(await anext(watch)) == {node, after}
            while client.problem:  # It may have been read before it is followed again.
                await asyncio.sleep(0.05)
            last = await registered(service, name)
            assert set(await anext(watch)) == {node, after, last}


async def test_a_watch_that_comes_when_the_token_of_the_stream_has_run_out(
    guarded: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "QUIET", 10 * LIMIT)
    monkeypatch.setattr(mirror, "BACKOFF", (1e6, 1e6))  # It asks for another token at once.
    tokens: list[str] = []
    ask = Tokens._ask

    async def remembering(self: Tokens) -> str:
        tokens.append(await ask(self))
        return tokens[-1]

    async with opened(f"etcd://service:pw@{guarded.address}/?timeout=2") as service:
        monkeypatch.setattr(Tokens, "_ask", remembering)
        async with opened(f"etcd://client:pw@{guarded.address}/?timeout=2") as client:
            one, two = fresh(), fresh()
            first, second = client.watch(one), client.watch(two)
            assert await anext(first) == ()
            await until_run_out(guarded, tokens[0])
            assert await anext(second) == ()
            nodes = [await registered(service, name) for name in (one, two)]
            async with asyncio.timeout(LIMIT):
                assert [await anext(first), await anext(second)] == [(node,) for node in nodes]


async def test_names_that_may_not_be_read_any_more_do_not_disturb_others(
    guarded: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "QUIET", 10 * LIMIT)
    monkeypatch.setattr(mirror, "BACKOFF", (0.1, 0.5))

    def change(path: str, key: str) -> None:
        end = encoded(key[:-1] + "0")
        body = {"name": "client", "role": "client", "key": encoded(key), "range_end": end}
        body["perm"] = {"permType": 0, "key": encoded(key), "range_end": end}
        status, answer = guarded.request(f"/v3/auth/role/{path}", body, token=guarded.authenticate())
        assert status == 200, answer

    async with (
        opened(f"etcd://service:pw@{guarded.address}/?timeout=2") as service,
        opened(f"etcd://client:pw@{guarded.address}/?timeout=2") as client,
    ):
        names = [fresh() for _ in range(5)]
        watches = [client.watch(name) for name in names]
        for watch in watches:
            assert await anext(watch) == ()
        change("revoke", "/micro/registry/")
        for name in names[::2]:
            change("grant", f"/micro/registry/{name}/")
        await guarded.kill()
        await guarded.start()
        nodes = [await registered(service, name) for name in names]
        async with asyncio.timeout(LIMIT):
            for watch, node in [*zip(watches, nodes, strict=True)][::2]:
                assert await anext(watch) == (node,)
            await eventually(lambda: "may not" in client.problem)
            change("grant", "/micro/registry/")
            for watch, node in [*zip(watches, nodes, strict=True)][1::2]:
                assert await anext(watch) == (node,)
            # Not only read, but followed.
            for watch, name, node in zip(watches, names, nodes, strict=True):
                after = await registered(service, name)
                assert set(await anext(watch)) == {node, after}
            assert not client.problem


async def test_a_password_where_everybody_is_let_in(make_etcd: Make, caplog: pytest.LogCaptureFixture) -> None:
    server = make_etcd()
    await server.start()
    async with opened(f"etcd://me:pw@{server.address}") as registry:
        assert await registry.resolve(fresh()) == ()
    assert [record for record in caplog.records if "authentication is not enabled" in record.message]


# TLS


async def test_tls(make_etcd: Make) -> None:
    server, other = make_etcd(tls=True), make_etcd(tls="mutual")
    await server.start()
    await other.start()
    files, others = server.certificates, other.certificates
    assert files is not None
    assert others is not None
    async with opened(f"{server.url}/?ca={files.ca}") as registry:
        assert await registry.resolve(fresh()) == ()
        assert registry.loopback
    for url, reason in (
        (f"{server.url}/", "does it speak TLS"),
        (f"{server.url}/?tls=true", "its certificate is not accepted"),
        (f"{server.url}/?ca={others.ca}", "its certificate is not accepted"),
        (f"{other.url}/?ca={others.ca}", "does it want a certificate of this client"),
        (f"{other.url}/?ca={others.ca}&cert={files.client_certificate}&key={files.client_key}", "another one"),
    ):
        with pytest.raises(Unavailable, match=reason):
            await EtcdRegistry(url).open()


async def test_tls_where_there_is_none(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    with pytest.raises(Unavailable, match="does it speak TLS"):
        await EtcdRegistry(f"{server.url}/?tls=true").open()
