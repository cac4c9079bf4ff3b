"""What settings in etcd and Consul go through: servers killed, paused or without their data, the network cut, history gone."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.consul.config import ConsulConfig
from micro_rt.backends.consul.http import Answer, Params
from micro_rt.backends.consul.query import BlockingQuery
from micro_rt.backends.etcd import config as etcd_config
from micro_rt.backends.etcd import mirror
from micro_rt.backends.etcd.config import EtcdConfig
from micro_rt.config import File, keys
from micro_rt.errors import Error, FailedPrecondition, PermissionDenied, Unauthenticated, Unavailable
from micro_rt.testing import FaultProxy
from tests.contracts.test_config_etcd import text64
from tests.helpers.following import Follower, followed
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually, soon
from tests.servers.consul import Consul
from tests.servers.etcd import Etcd
from tests.servers.server import Server, http_json
from tests.servers.shared import Elsewhere


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent stream of etcd is asked for a sign after a second, not ten."""
    monkeypatch.setattr(mirror, "QUIET", 1.0)


def etcd_request(server: Server | Elsewhere, path: str, body: Any) -> tuple[int, Any]:
    """Posts to etcd; the server that tests share may have been started by another process."""
    if isinstance(server, Etcd):
        return server.request(path, body, token=server.authenticate() if server.user_name else "")
    return http_json(server.address, "POST", path, body)


def consul_request(server: Server | Elsewhere, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Asks Consul; the server that tests share may have been started by another process."""
    if isinstance(server, Consul):
        return server.request(method, path, body)
    return http_json(server.address, method, path, body)


def etcd_put(server: Server | Elsewhere, key: str, value: str) -> int:
    """Writes a key, and returns the revision."""
    status, answer = etcd_request(server, "/v3/kv/put", {"key": text64(key), "value": text64(value)})
    assert status == 200, answer
    return int(answer["header"]["revision"])


def consul_put(server: Server | Elsewhere, key: str, value: str) -> None:
    status, answer = consul_request(
        server, "PUT", "/v1/txn", [{"KV": {"Verb": "set", "Key": key, "Value": text64(value)}}]
    )
    assert status == 200, answer


async def no_read(follower: Follower) -> Error:
    """Waits until a read fails, and returns why; each read must end by itself."""

    async def failure() -> Error | None:
        try:
            await soon(follower.source.read())
        except Error as error:
            return error
        return None

    error = await eventually(failure, "reads go on")
    assert error is not None
    return error


# etcd


async def test_etcd_that_was_killed_is_watched_again(make_etcd: Callable[..., Etcd]) -> None:
    server = make_etcd()
    await server.start()
    etcd_put(server, "app/n", "0")
    async with followed(EtcdConfig(f"{server.url}/app?timeout=1")) as follower:
        await follower.sees({"n": "0"})
        for number in range(1, 4):
            await server.kill()
            error = await no_read(follower)
            assert isinstance(error, Unavailable)
            assert error.message.startswith(f"etcd at {server.address} cannot be reached: ")
            await server.start()
            etcd_put(server, "app/n", str(number))
            await follower.sees({"n": str(number)})


async def test_etcd_that_was_paused_is_watched_again_and_no_read_hangs(make_etcd: Callable[..., Etcd]) -> None:
    server = make_etcd()
    await server.start()
    etcd_put(server, "app/n", "0")
    async with followed(EtcdConfig(f"{server.url}/app?timeout=1")) as follower:
        await follower.sees({"n": "0"})
        for number in range(1, 3):
            await server.pause()
            assert isinstance(await no_read(follower), Unavailable)
            await server.resume()
            etcd_put(server, "app/n", str(number))
            await follower.sees({"n": str(number)})


async def test_a_history_of_etcd_that_was_compacted_while_the_network_was_cut(make_etcd: Callable[..., Etcd]) -> None:
    """Faults etcd3-py#61 and python-etcd3#1227: the watch slept for ever after a compaction."""
    server = make_etcd()
    await server.start()
    etcd_put(server, "app/n", "0")
    async with (
        FaultProxy(server.address) as proxy,
        followed(EtcdConfig(f"etcd://{proxy.address}/app?timeout=1")) as follower,
    ):
        await follower.sees({"n": "0"})
        for number in range(1, 4):
            await proxy.cut()
            revision = 0
            for step in range(10):
                revision = etcd_put(server, "app/n", f"{number}-{step}")
            status, answer = server.request("/v3/kv/compaction", {"revision": str(revision), "physical": True})
            assert status == 200, answer
            await proxy.restore()
            await follower.sees({"n": f"{number}-9"})
            etcd_put(server, "app/n", str(number))
            await follower.sees({"n": str(number)})


async def test_etcd_without_its_data_is_seen(make_etcd: Callable[..., Etcd]) -> None:
    server = make_etcd()
    await server.start()
    for number in range(20):
        etcd_put(server, "app/n", str(number))
    etcd_put(server, "app/m", "1")
    async with followed(EtcdConfig(f"{server.url}/app?timeout=1")) as follower:
        await follower.sees({"n": "19", "m": "1"})
        await server.kill()
        await server.wipe()
        await server.start()
        etcd_put(server, "app/n", "anew")
        await follower.sees({"n": "anew"})
        etcd_put(server, "app/n", "later")
        await follower.sees({"n": "later"})


async def test_a_token_of_etcd_that_expires_ends_no_watch(make_etcd: Callable[..., Etcd]) -> None:
    """Fault python-etcd3#1227: the watch slept for ever after the token had expired."""
    server = make_etcd(auth=True, extra=["--auth-token-ttl", "2"])
    await server.start()
    etcd_put(server, "app/n", "0")
    with pytest.raises(Unauthenticated):
        async with followed(EtcdConfig(f"{server.url}/app?timeout=2")):
            pass
    password = server.password.replace(" ", "%20")
    source = EtcdConfig(f"etcd://{server.user_name}:{password}@{server.address}/app?timeout=2")
    assert source.name == f"etcd://{server.address}/app"
    async with followed(source) as follower:
        await follower.sees({"n": "0"})
        for number in range(1, 3):
            await until_expired(server)
            etcd_put(server, "app/n", str(number))
            await follower.sees({"n": str(number)})


async def until_expired(server: Etcd) -> None:
    """Waits until a token that nobody uses has expired; it is younger than those that others use."""
    token = server.authenticate()
    while True:
        await asyncio.sleep(3.0)  # Each use would make it live longer.
        if server.request("/v3/kv/range", {"key": text64("app/n")}, token=token)[0] != 200:
            return


@pytest.mark.verify("config")
async def test_every_change_of_etcd_is_seen(etcd: Server | Elsewhere, size: Size, figures: Figures) -> None:
    folder = uuid.uuid4().hex
    changes = size(1_000, ci=100)
    async with followed(EtcdConfig(f"{etcd.url}/{folder}")) as follower:
        for number in range(changes):
            # Two keys in one transaction: all of it is seen, or nothing.
            puts = [{"requestPut": {"key": text64(f"{folder}/{key}"), "value": text64(str(number))}} for key in "ab"]
            status, answer = etcd_request(etcd, "/v3/kv/txn", {"success": puts})
            assert status == 200, answer
            if number % 10 == 0:
                await follower.sees({"a": str(number), "b": str(number)})
        await follower.sees({"a": str(changes - 1), "b": str(changes - 1)})
        assert all(tree.get("a") == tree.get("b") for tree in follower.trees)
        assert not follower.errors
    figures.add("seen", len(follower.trees))


async def test_what_no_report_brings_from_etcd_is_found_by_reading_all(
    etcd: Server | Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults etcd#18089 and etcd#19179: the server lost the report of a deletion."""
    monkeypatch.setattr(keys, "REPAIR", 0.1)

    def lose(*_: object) -> None:
        pass

    monkeypatch.setattr(mirror.Mirror, "apply", lose)
    folder = uuid.uuid4().hex
    async with followed(EtcdConfig(f"{etcd.url}/{folder}")) as follower:
        await follower.sees({})
        etcd_put(etcd, f"{folder}/n", "1")
        await follower.sees({"n": "1"})


# Consul


async def test_consul_that_begins_anew_is_watched_again(make_consul: Callable[..., Consul]) -> None:
    """Faults consul#2621 and node-consul#135: the watch slept after the index had gone back."""
    server = make_consul()  # It keeps its data in memory only.
    await server.start()
    for number in range(100):
        consul_put(server, "app/n", f"old {number}")
    async with followed(ConsulConfig(f"{server.url}/app?timeout=1")) as follower:
        await follower.sees({"n": "old 99"})
        for number in range(3):
            await server.kill()
            error = await no_read(follower)
            assert isinstance(error, Unavailable)
            assert error.message.startswith(f"Consul at {server.address} ")
            await server.start()
            consul_put(server, "app/n", f"anew {number}")
            await follower.sees({"n": f"anew {number}"})
            consul_put(server, "app/n", f"later {number}")
            await follower.sees({"n": f"later {number}"})


async def test_consul_that_was_paused_is_watched_again_and_no_read_hangs(make_consul: Callable[..., Consul]) -> None:
    server = make_consul()
    await server.start()
    consul_put(server, "app/n", "0")
    async with followed(ConsulConfig(f"{server.url}/app?timeout=1")) as follower:
        await follower.sees({"n": "0"})
        for number in range(1, 3):
            await server.pause()
            assert isinstance(await no_read(follower), Unavailable)
            await server.resume()
            await eventually(lambda: server.ready(), "Consul goes on")
            consul_put(server, "app/n", str(number))
            await follower.sees({"n": str(number)})


async def test_what_changes_in_consul_while_the_network_is_cut_is_seen(make_consul: Callable[..., Consul]) -> None:
    server = make_consul()
    await server.start()
    consul_put(server, "app/n", "0")
    async with (
        FaultProxy(server.address) as proxy,
        followed(ConsulConfig(f"consul://{proxy.address}/app?timeout=1")) as follower,
    ):
        await follower.sees({"n": "0"})
        for number in range(1, 4):
            await proxy.cut()
            assert isinstance(await no_read(follower), Unavailable)
            consul_put(server, "app/n", str(number))
            await proxy.restore()
            await follower.sees({"n": str(number)})


@pytest.mark.verify("config")
async def test_every_change_of_consul_is_seen(consul: Server | Elsewhere, size: Size, figures: Figures) -> None:
    """Consul 1.14 publishes changes in streams before it commits them; its KV is not read from streams."""
    folder = uuid.uuid4().hex
    changes = size(1_000, ci=60)
    async with followed(ConsulConfig(f"{consul.url}/{folder}")) as follower:
        for number in range(changes):
            sets = [
                {"KV": {"Verb": "set", "Key": f"{folder}/{key}", "Value": text64(str(number))}}
                for key in ("a", "b", "c/d")
            ]
            status, answer = consul_request(consul, "PUT", "/v1/txn", sets)
            assert status == 200, answer
            if number % 3 == 0:
                await follower.sees({"a": str(number), "b": str(number), "c": {"d": str(number)}})
        status, answer = consul_request(consul, "DELETE", f"/v1/kv/{folder}/c?recurse")
        assert status == 200, answer
        await follower.sees({"a": str(changes - 1), "b": str(changes - 1)})
        status, answer = consul_request(consul, "DELETE", f"/v1/kv/{folder}/?recurse")
        await follower.sees({})
        assert all(tree.get("a") == tree.get("b") for tree in follower.trees), "one half of a transaction"
        assert not follower.errors
    figures.add("seen", len(follower.trees))


async def test_what_leaves_the_settings_in_consul_as_they_are_is_not_reported(
    consul: Server | Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index of Consul moves when the flags of a key change, for one."""
    folder = uuid.uuid4().hex
    answers = 0
    real = BlockingQuery.answer

    async def answer(query: BlockingQuery, params: Params = ()) -> Answer:
        nonlocal answers
        found = await real(query, params)
        answers += 1
        return found

    monkeypatch.setattr(BlockingQuery, "answer", answer)
    async with followed(ConsulConfig(f"{consul.url}/{folder}")) as follower:
        await follower.sees({})
        consul_put(consul, f"{folder}/n", "1")
        await follower.sees({"n": "1"})
        reports = follower.reports
        for number in range(1, 6):
            same = {"Verb": "set", "Key": f"{folder}/n", "Value": text64("1"), "Flags": number}
            status, reply = consul_request(consul, "PUT", "/v1/txn", [{"KV": same}])
            assert status == 200, reply
            await eventually(lambda: answers, "the query is not answered", equals=2 + number)
        consul_put(consul, f"{folder}/n", "2")
        await follower.sees({"n": "2"})
        assert follower.reports == reports + 1


async def test_keys_that_a_token_of_consul_hides_are_an_error(make_consul: Callable[..., Consul]) -> None:
    server = make_consul(acl=True)
    await server.start()
    consul_put(server, "app/n", "1")
    consul_put(server, "app/secret/n", "Canary7")
    rules = 'key_prefix "app/" { policy = "read" } key_prefix "app/secret/" { policy = "deny" } service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'
    status, policy = server.request("PUT", "/v1/acl/policy", {"Name": "some", "Rules": rules})
    assert status == 200, policy
    status, token = server.request("PUT", "/v1/acl/token", {"Policies": [{"Name": "some"}]})
    assert status == 200, token
    source = ConsulConfig(f"{server.url}/app?token={token['SecretID']}")
    assert source.name == f"consul://{server.address}/app"
    async with followed(source) as follower:
        await follower.fails(1)
        with pytest.raises(PermissionDenied, match='the token may not read all keys; give it key_prefix "app/"'):
            await source.read()
    async with followed(ConsulConfig(f"{server.url}/app?token={server.token}")) as follower:
        await follower.sees({"n": "1", "secret": {"n": "Canary7"}})


async def test_what_no_query_brings_from_consul_is_found_by_reading_all(
    consul: Server | Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "REPAIR", 0.1)

    async def asleep(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(BlockingQuery, "answer", asleep)
    folder = uuid.uuid4().hex
    async with followed(ConsulConfig(f"{consul.url}/{folder}")) as follower:
        await follower.sees({})
        consul_put(consul, f"{folder}/n", "1")
        await follower.sees({"n": "1"})


async def test_keys_of_etcd_are_read_in_pages_of_one_revision(
    etcd: Server | Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_config, "PAGE", 3)
    folder = uuid.uuid4().hex
    source = EtcdConfig(f"{etcd.url}/{folder}")
    await source.open()
    try:
        for count in range(8):
            assert (await source.read()).tree == {f"{number}": "x" for number in range(count)}
            etcd_put(etcd, f"{folder}/{count}", "x")

        def change() -> None:
            for number in range(100):
                puts = [
                    {"requestPut": {"key": text64(f"{folder}/{key}"), "value": text64(str(number))}} for key in range(8)
                ]
                etcd_request(etcd, "/v3/kv/txn", {"success": puts})

        changing = asyncio.create_task(asyncio.to_thread(change))
        while not changing.done():
            assert len({str(each) for each in (await source.read()).tree.values()}) == 1, "pages of two revisions"
        await changing
    finally:
        await source.close()


async def test_a_folder_of_etcd_that_is_too_large_is_not_read_to_its_end(
    etcd: Server | Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd_config, "PAGE", 1)
    monkeypatch.setattr(etcd_config, "MAX_SIZE", 2 << 20)
    monkeypatch.setattr(keys, "MAX_SIZE", 2 << 20)
    folder = uuid.uuid4().hex
    for number in range(5):
        etcd_put(etcd, f"{folder}/{number}", "x" * (1 << 20))
    source = EtcdConfig(f"{etcd.url}/{folder}")
    await source.open()
    try:
        with pytest.raises(FailedPrecondition, match="keys and values are larger than 2 MiB together"):
            await soon(source.read())
    finally:
        await source.close()


async def test_a_folder_of_etcd_without_keys_names_the_one_that_has_some(
    etcd: Server | Elsewhere, caplog: pytest.LogCaptureFixture
) -> None:
    folder = uuid.uuid4().hex
    etcd_put(etcd, f"/{folder}/n", "1")
    source = EtcdConfig(f"{etcd.url}/{folder}")
    with caplog.at_level(logging.WARNING):
        await source.open()
        await source.close()
    assert [record.getMessage() for record in caplog.records] == [
        f"{etcd.url}/{folder} has no keys, but there are keys below /{folder}/: write {etcd.url}//{folder} to read those"
    ]
    source = EtcdConfig(f"{etcd.url}//{folder}")
    await source.open()
    assert (await source.read()).tree == {"n": "1"}
    await source.close()


async def test_a_config_follows_files_etcd_and_consul_at_once(
    etcd: Server | Elsewhere, consul: Server | Elsewhere, tmp_path: Path
) -> None:
    folder = uuid.uuid4().hex
    path = tmp_path / "app.yaml"
    path.write_text("limits:\n  rps: 1\n  burst: 1\n")
    etcd_put(etcd, f"{folder}/limits/rps", "2")
    consul_put(consul, f"{folder}/limits/wait", "3")
    sources = [File(path), EtcdConfig(f"{etcd.url}/{folder}"), ConsulConfig(f"{consul.url}/{folder}")]

    async with micro.Config(sources) as config:

        def limits() -> tuple[int, int, int]:
            return config.get("limits.rps", int), config.get("limits.burst", int), config.get("limits.wait", int)

        assert limits() == (2, 1, 3)
        path.write_text("limits:\n  rps: 1\n  burst: 4\n")
        await eventually(limits, "the file is not read again", equals=(2, 4, 3))
        etcd_put(etcd, f"{folder}/limits/rps", "5")
        await eventually(limits, "etcd is not read again", equals=(5, 4, 3))
        consul_put(consul, f"{folder}/limits/wait", "6")
        await eventually(limits, "Consul is not read again", equals=(5, 4, 6))
        path.write_text("limits:\n  rps: [\n")
        await eventually(lambda: config.problem, "the broken file is not reported")
        assert config.problem == f"file:{path}:3: a value is missing, or a bracket is not closed"
        assert limits() == (5, 4, 6)
        path.write_text("limits: {}\n")
        etcd_put(etcd, f"{folder}/limits/burst", "7")
        await eventually(lambda: (limits(), config.problem), "the file is not read again", equals=((5, 7, 6), ""))
