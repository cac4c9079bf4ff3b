"""What other tests rely on: servers that start, die, come back as they were, and leave nothing behind."""

import asyncio
import os
import socket
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiokafka.admin
import pytest

from tests.helpers.waiting import eventually
from tests.servers import process as processes
from tests.servers.consul import Consul
from tests.servers.etcd import Etcd
from tests.servers.kafka import Kafka, KafkaCluster
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import family
from tests.servers.server import Server, http_json


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_shared_consul_answers(consul: Any) -> None:
    status, leader = http_json(consul.address, "GET", "/v1/status/leader")
    assert status == 200
    assert leader
    assert consul.url == f"consul://{consul.address}"


def test_the_shared_etcd_answers(etcd: Any) -> None:
    assert http_json(etcd.address, "GET", "/version")[0] == 200
    assert etcd.url == f"etcd://{etcd.address}"


def test_the_shared_kafka_accepts(kafka: Any) -> None:
    assert kafka.url == f"kafka://{kafka.address}"
    host, _, port = kafka.address.rpartition(":")
    # A request for the versions of each request (API key 18): length, key, version, correlation id, no client id.
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(struct.pack(">ihhih", 10, 18, 0, 77, -1))
        length, correlation, error = struct.unpack(">iih", connection.recv(10, socket.MSG_WAITALL))
    assert length > 6
    assert (correlation, error) == (77, 0)


def test_the_shared_postgresql_accepts(postgresql: Any) -> None:
    assert postgresql.url == f"postgresql://postgres@{postgresql.address}/postgres"
    host, _, port = postgresql.address.rpartition(":")
    login = struct.pack(">i", 196608) + b"user\0postgres\0\0"
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(struct.pack(">i", len(login) + 4) + login)
        assert connection.recv(9, socket.MSG_WAITALL) == struct.pack(">cii", b"R", 8, 0)  # Let in without a password.


async def refused(server: Server) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(socket.create_connection, ("127.0.0.1", server.port), 10)


async def test_consul_comes_back_with_its_data(make_consul: Callable[..., Consul]) -> None:
    server = make_consul(data=True)
    await server.start()
    assert server.request("PUT", "/v1/kv/kept", "a value") == (200, True)
    first = server.pid
    await server.kill()
    assert not alive(first)
    await refused(server)
    await server.start()
    assert server.pid != first
    assert server.request("GET", "/v1/kv/kept?raw") == (200, "a value")
    await server.stop()
    assert not server.running
    await server.wipe()
    await server.start()
    assert server.request("GET", "/v1/kv/kept?raw")[0] == 404
    server.close()
    assert not server.folder.exists()


async def test_consul_refuses_without_a_token(make_consul: Callable[..., Consul]) -> None:
    server = make_consul(acl=True)
    await server.start()
    token = await server.make_token('key_prefix "mine/" { policy = "write" }')
    assert server.request("PUT", "/v1/kv/mine/a", 1, token=token) == (200, True)
    assert server.request("PUT", "/v1/kv/yours/a", 1, token=token)[0] == 403
    assert server.request("PUT", "/v1/kv/mine/a", 1, token="")[0] == 403


@pytest.mark.parametrize("kind", ["make_consul", "make_etcd"])
async def test_tls_is_spoken(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)(tls="mutual")
    await server.start()
    with pytest.raises(OSError, match=r"(?i)certificate|reset|alert"):
        bare = server.certificates.context(client=False)
        http_json(server.address, "GET", "/v1/status/leader", tls=bare)


async def test_a_client_agent_joins(make_consul: Callable[..., Consul]) -> None:
    server = make_consul()
    await server.start()
    agent = make_consul(join=server)
    await agent.start()
    assert agent.request("PUT", "/v1/agent/service/register", {"Name": "a", "ID": "a-1"})[0] == 200
    found = await eventually(lambda: server.request("GET", "/v1/catalog/service/a")[1])
    assert found[0]["Node"] == agent.node


async def test_etcd_comes_back_with_its_data(make_etcd: Callable[..., Etcd]) -> None:
    server = make_etcd(auth=True)
    await server.start()
    key = {"key": "a2V5"}
    assert server.request("/v3/kv/put", {**key, "value": "dmFsdWU="})[0] != 200  # No token.
    assert server.request("/v3/kv/put", {**key, "value": "dmFsdWU="}, token=server.authenticate())[0] == 200
    await server.kill()
    await refused(server)
    await server.start()
    _, answer = server.request("/v3/kv/range", key, token=server.authenticate())
    assert answer["kvs"][0]["value"] == "dmFsdWU="
    await server.stop()
    await server.wipe()
    await server.start()
    _, answer = server.request("/v3/kv/range", key, token=server.authenticate())
    assert "kvs" not in answer


@pytest.mark.parametrize(("kind", "keeps"), [("make_kafka", "meta.properties"), ("make_postgresql", "PG_VERSION")])
async def test_others_come_back_where_they_were(kind: str, keeps: str, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)()
    await server.start()
    first, address = server.pid, server.address
    children = family(first)
    written = (server.data / keeps).stat()
    await server.kill()
    assert not any(map(alive, children))
    await refused(server)
    await server.start()
    assert (server.data / keeps).stat().st_ino == written.st_ino
    assert (server.address, server.pid == first) == (address, False)
    children = family(server.pid)
    server.close()
    assert not any(map(alive, children))
    assert not server.folder.exists()


async def test_what_does_not_start_tells_why(make_etcd: Callable[..., Etcd]) -> None:
    server = make_etcd(extra=["--data-dir", "/proc/nowhere"])
    with pytest.raises(RuntimeError, match=r"(?s)etcd ended with \d+:.*/proc/nowhere"):
        await server.start()
    assert not server.running


async def test_a_paused_server_holds_its_connections(make_etcd: Callable[..., Etcd]) -> None:
    server = make_etcd()
    await server.start()
    await server.pause()
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(http_json, server.address, "GET", "/health", timeout=0.5)
    await server.resume()
    assert (await asyncio.to_thread(http_json, server.address, "GET", "/health"))[0] == 200
    await server.pause()
    pid = server.pid
    await server.stop()
    assert not alive(pid)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


async def test_what_a_server_starts_while_it_is_paused_is_paused_too(
    make_postgresql: Callable[..., PostgreSQL], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that starts a process between the look at its family and the signal would leave that process running for ever."""
    server = make_postgresql()
    await server.start()
    looks: list[list[int]] = []

    def first_without_children(pid: int) -> list[int]:
        looks.append([pid] if not looks else family(pid))
        return looks[-1]

    monkeypatch.setattr(processes, "family", first_without_children)
    async with asyncio.timeout(60):
        await server.pause()
    assert len(looks[0]) == 1 < len(looks[-1])
    assert {state(pid) for pid in family(server.pid)} == {"T"}
    await server.resume()


async def test_a_kafka_cluster_replaces_the_leader_of_a_broker_that_is_away(kafka_cluster: KafkaCluster) -> None:
    topic = f"t-{uuid.uuid4().hex[:8]}"
    admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=kafka_cluster.address)
    await admin.start()
    try:
        await admin.create_topics([aiokafka.admin.NewTopic(topic, 1, 3)])
    finally:
        await admin.close()
    await eventually(
        lambda: kafka_cluster.replicas(topic), equals={0: [1, 2, 3]}
    )  # Brokers learn of a new topic one by one.
    await kafka_cluster.until_in_sync()
    killed = await kafka_cluster.leader(topic)
    await killed.kill()
    await eventually(lambda: led_by_another(kafka_cluster, topic, killed))
    await kafka_cluster.start()  # and waits until every replica is in sync
    assert await kafka_cluster.replicas(topic) == {0: [1, 2, 3]}


async def led_by_another(cluster: KafkaCluster, topic: str, broker: Kafka) -> bool:
    try:
        return await cluster.leader(topic) is not broker
    except LookupError:
        return False
