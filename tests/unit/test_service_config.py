"""The config of a service: where its sources come from, and what it says of the service itself."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.kafka.address import parse_kafka_address
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.backends.postgresql.address import parse_postgresql_address
from micro_rt.cli.main import main
from micro_rt.config import Config, Env, Memory
from micro_rt.kit.variables import standing_in, variable
from micro_rt.service.configuration import ServiceSettings
from micro_rt.service.environment import KNOWN
from micro_rt.service.service import Service
from micro_rt.testing import serve
from tests.helpers.handlers import Lab
from tests.helpers.waiting import eventually

SOURCE = """
import asyncio
from micro_rt.config.base import Reading, Source
from micro_rt.errors import Unavailable


class Acme(Source):
    closed = []

    def __init__(self, address):
        if "bad" in address:
            raise ValueError("it has an option that makes no sense")
        self.address = address

    @property
    def name(self):
        return self.address

    async def close(self):
        self.closed.append(self.address)

    async def read(self):
        if "down" in self.address:
            raise Unavailable(f"nothing answers at {self.address}: start it, or name another one in MICRO_CONFIG")
        return Reading({"address": self.address, "hosts": {self.address: 1}, "password": "Canary7"}, {("address",): "acme.conf:1"})
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs a distribution with a source of the scheme ``acme``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    info = tmp_path / "acme_config-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-config\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[micro_rt.config]\nacme = acme_config:Acme\nenv = micro_rt.config.env:Env\n"
    )
    (tmp_path / "acme_config.py").write_text(SOURCE)


@dataclass(frozen=True)
class Limits:
    rps: int = 1


def memory_service(**options: Any) -> Service:
    return Service("web", **{"registry": "memory:", "broker": "memory:", "transport": "memory", **options})


async def test_a_service_has_a_config_while_it_runs() -> None:
    source = Memory({"limits": {"rps": 5}})
    service = memory_service(config=[source])
    with pytest.raises(micro.FailedPrecondition, match="is not started"):
        _ = service.config
    for number in range(3):
        async with service:
            limits = service.config.bind("limits", Limits)
            source.set("limits.rps", number)
            await eventually(lambda number=number, limits=limits: limits.value.rps == number)  # type: ignore[misc]
    with pytest.raises(micro.FailedPrecondition, match="is not started"):
        _ = service.config


async def test_the_config_is_open_before_everything_else_and_until_the_end() -> None:
    seen: list[int] = []

    class Watched(Memory):
        async def open(self) -> None:
            seen.append(0)

        async def close(self) -> None:
            await super().close()
            seen.append(9)

    @contextlib.asynccontextmanager
    async def lifespan(service: Service) -> AsyncGenerator[None]:
        seen.append(service.config.get("a", int))
        yield
        seen.append(service.config.get("b", int))

    async with memory_service(config=[Watched({"a": 1, "b": 2})], lifespan=lifespan):
        pass
    assert seen == [0, 1, 2, 9]


async def test_without_sources_the_config_is_empty() -> None:
    async with memory_service() as service:
        assert service.config.get("") == {}


async def test_a_bad_update_shows_in_the_health_of_the_service() -> None:
    source = Memory({"limits": {"rps": 5}})
    async with memory_service(config=[source]) as service:
        service.config.bind("limits", Limits)
        source.set("limits.rps", "x")
        await eventually(lambda: service.health.problems)
        assert service.health.problems == {"config": "limits.rps (memory) must be a whole number, not a text"}
        source.set("limits.rps", 6)
        await eventually(lambda: not service.health.problems)


async def test_an_open_config_stays_open() -> None:
    async with Config([Memory({"a": 1})]) as config:
        async with memory_service(config=config) as service:
            assert service.config is config
        assert config.is_open
    async with memory_service(config=config) as service:
        assert config.is_open
    assert not config.is_open


async def test_serve_takes_a_config() -> None:
    async with serve(Lab(), config=[{"a": 1}]) as service:
        assert service.config.get("a", int) == 1


@pytest.mark.usefixtures("acme")
async def test_addresses_of_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_A", "5")
    monkeypatch.setenv("MICRO_CONFIG", "acme://h1:1,h2:2/x, acme:conf/ ,env:APP,")
    async with memory_service() as service:
        assert [status.source for status in service.config.status] == [
            "acme://h1:1,h2:2/x",
            "acme:conf/",
            "environment APP_*",
        ]
        assert service.config.get("a", int) == 5
    async with memory_service(config="acme:one,acme:two") as service:
        assert [status.source for status in service.config.status] == ["acme:one", "acme:two"]
    async with memory_service(config=["acme:one", Memory({"a": 1}), {"b": 2}]) as service:
        assert [status.source for status in service.config.status] == ["acme:one", "memory", "mapping"]


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("nothing:x", r"config='nothing': there is no such config; known: acme, .*env"),
        ("conf/a.yaml", "is not an address"),
        ("acme:bad", "config='acme:.*': it has an option that makes no sense"),
        ("acme:down", "nothing answers at acme:down: start it, or name another one in MICRO_CONFIG"),
        ("env:APP_", "is no prefix of variables"),
    ],
)
async def test_an_address_that_cannot_be_used_is_named(given: str, problem: str) -> None:
    with pytest.raises(micro.Error, match=problem):
        async with memory_service(config=given):
            pass


@pytest.mark.parametrize("given", [5, {"a": 1}, Memory()])
async def test_what_is_no_list_of_sources_is_an_error(given: Any) -> None:
    with pytest.raises(TypeError, match="config= is a list of sources"):
        async with memory_service(config=given):
            pass


# What the config says of the service itself


async def test_the_argument_wins_then_the_environment_then_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "micro": {"registry": "memory:config", "broker": "memory:config", "transport": "memory", "selector": "random"}
    }

    async def place(**options: Any) -> str:
        """Returns which of the registries lists a service."""
        service = Service("web", config=[config], **options)
        service.handle(Lab())
        async with service:
            for name in ("config", "environment", "argument"):
                registry = MemoryRegistry(f"memory:{name}")
                await registry.open()
                if await registry.resolve("web"):
                    return name
        return ""

    assert await place() == "config"
    monkeypatch.setenv("MICRO_REGISTRY", "memory:environment")
    assert await place() == "environment"
    assert await place(registry="memory:argument") == "argument"
    monkeypatch.setenv("MICRO_REGISTRY", "")
    assert await place() == "config", "an empty variable says nothing"


async def test_every_setting_of_a_service_can_be_in_its_config(caplog: pytest.LogCaptureFixture) -> None:
    config = {
        "micro": {
            "address": "memory:here",
            "advertise": "memory:here",
            "broker": "memory:",
            "compression": "gzip",
            "grace": "1.5s",
            "max_memory": 1000,
            "max_message": 2000,
            "registry": "memory:",
            "selector": "random",
            "store": "memory:",
            "sync": "memory:",
            "threads": 3,
            "timeout": 7.5,
            "transport": "memory",
            "ttl": 7,
        }
    }
    accounts = {f"{each}_{what}" for each in ("kafka", "postgresql", "cockroachdb") for what in ("user", "password")}
    of_backends = {"home", "home_owner", "namespace", *accounts}
    of_tls = {"tls_cert", "tls_key", "tls_roots"}  # See tests/calls/test_tls.py: the transport here has no TLS.
    assert set(config["micro"]) | of_backends | of_tls == set(ServiceSettings.__dataclass_fields__)
    with caplog.at_level(logging.INFO):
        service = Service("web", config=[config])
        service.handle(Lab())
        async with service:
            assert service.node is not None
            assert service.node.address == "memory:here"
            assert service._life is not None
            assert service._life.grace == 1.5
            assert service.timeout == 7.5
            assert service._dispatcher.threads.most == 3
            assert not (await service.store.capabilities()).shared
            assert not (await service.sync.capabilities()).shared


async def test_texts_of_the_environment_say_it_too() -> None:
    variables = {"APP_MICRO__REGISTRY": "memory:", "APP_MICRO__GRACE": "1m", "APP_MICRO__MAX_MEMORY": "5"}
    async with Service("web", config=[Env("APP", variables)], broker="memory:") as service:
        assert service._life is not None
        assert service._life.grace == 60.0


async def test_variables_give_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_GRACE", "2m")
    monkeypatch.setenv("MICRO_TTL", "soon")
    service = memory_service()
    async with service:
        assert service._life is not None
        assert service._life.grace == 120.0
    service.handle(Lab())
    with pytest.raises(micro.FailedPrecondition, match=r"MICRO_TTL='soon': .*is not a number of seconds"):
        async with service:
            pass


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"registri": "memory:"},
            r"micro\.registri \(memory\) is no setting of ServiceSettings; did you mean registry\?",
        ),
        ({"colour": 1}, r"micro\.colour \(memory\) is no setting of ServiceSettings; it has address, advertise"),
        ({"registry": 5}, r"micro\.registry \(memory\) must be a text"),
        ({"max_memory": "5"}, r"micro\.max_memory \(memory\) must be a whole number"),
        ({"max_memory": -5}, r"micro\.max_memory \(memory\)='-5': .*is not a whole number above 0"),
        ({"registry": "nothing:"}, r"micro\.registry \(memory\)='nothing': there is no such registry"),
        ({"registry": "consul://me:Canary7@h/?x=y"}, r"micro\.registry \(memory\)='consul://\*\*\*@h"),
        ({"home": "here", "registry": "local:"}, r"MICRO_HOME"),
        ({"kafka_password": 7, "kafka_user": "Canary7"}, r"micro\.kafka_password \(memory\) must be a text"),
        ({"config": "file:x"}, r"micro\.config \(memory\) is no setting of ServiceSettings"),
        ("registry", r"micro \(memory\) must be the settings of ServiceSettings, not a text"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_named_with_its_place(settings: Any, problem: str) -> None:
    with pytest.raises(micro.FailedPrecondition, match=problem) as caught:
        async with Service("web", config=[Memory({"micro": settings})], broker="memory:"):
            pass
    assert "Canary7" not in str(caught.value)


def test_every_variable_can_be_in_a_config() -> None:
    fields = set(ServiceSettings.__dataclass_fields__)
    assert fields == {name.removeprefix("MICRO_").lower() for name in KNOWN} - {"config"}


async def test_what_backends_read_by_themselves_can_be_in_a_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MICRO_HOME", "MICRO_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    settings = {"home": str(tmp_path / "state"), "namespace": "apart", "kafka_user": "me", "kafka_password": "Canary7"}
    async with Service("web", config=[{"micro": settings}]) as service:
        await service.broker()
        assert (tmp_path / "state" / "apart" / "registry.db").exists()
        assert (tmp_path / "state" / "apart" / "broker.db").exists()
        assert variable("MICRO_NAMESPACE") == "", "only while its parts are made and opened"
        assert "Canary7" not in str(service.config.dump())
    monkeypatch.setenv("MICRO_NAMESPACE", "environment")
    async with Service("web", config=[{"micro": settings}]):
        assert (tmp_path / "state" / "environment" / "registry.db").exists()


async def test_the_account_of_kafka_can_be_in_a_config() -> None:
    with standing_in({"MICRO_KAFKA_USER": "me", "MICRO_KAFKA_PASSWORD": "word"}):
        address = parse_kafka_address("kafka://127.0.0.1:9092/?sasl=plain")
    assert (address.user, address.password) == ("me", "word")


async def test_the_account_and_the_schema_of_postgresql_can_be_in_a_config() -> None:
    said = {"POSTGRESQL_USER": "me", "POSTGRESQL_PASSWORD": "word", "NAMESPACE": "apart"}
    with standing_in({f"MICRO_{name}": value for name, value in said.items()}):
        address = parse_postgresql_address("postgresql://127.0.0.1/orders")
    assert (address.user, address.password, address.schema) == ("me", "word", "micro_rt_apart")


async def test_a_dataclass_of_all_settings_need_not_have_those_of_the_service() -> None:
    async with memory_service(config=[{"micro": {"grace": 5}, "rps": 5}]) as service:
        assert service.config.bind("", Limits).value == Limits(5)
        assert service._life is not None
        assert service._life.grace == 5.0
    async with Config([{"inner": {"micro": {}}}]) as config:
        with pytest.raises(micro.FailedPrecondition, match=r"inner\.micro .* is no setting of Limits"):
            config.bind("inner", Limits)


# The commands


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["config", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.usefixtures("acme")
def test_dump_shows_every_setting_with_its_source(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APP_MICRO__REGISTRY", "consul://:Canary7@h:1")
    monkeypatch.setenv("APP_LIMITS__RPS", "5")
    monkeypatch.setenv("MICRO_BROKER", "kafka://me:Canary7@k:9092")
    monkeypatch.setenv("MICRO_KAFKA_PASSWORD", "Canary7")
    status, out, err = output(capsys, "dump", "--config", "acme:x,env:APP")
    assert (status, err) == (0, "")
    assert "Canary7" not in out
    lines = out.splitlines()
    assert 'micro.broker = "kafka://***@k:9092"  (MICRO_BROKER)' in lines
    assert 'micro.registry = "consul://***@h:1"  (APP_MICRO__REGISTRY)' in lines
    assert "micro.kafka_password = ***  (MICRO_KAFKA_PASSWORD)" in lines
    assert "micro.grace = 10.0  (default)" in lines
    assert 'address = "acme:x"  (acme.conf:1)' in lines
    assert 'limits.rps = "5"  (APP_LIMITS__RPS)' in lines
    assert "password = ***  (acme:x)" in lines
    status, out, _ = output(capsys, "dump", "--config", "acme:x,env:APP", "--json")
    assert {"path": "password", "value": "***", "source": "acme:x", "place": "acme:x", "wins": True} in json.loads(out)


@pytest.mark.usefixtures("acme")
def test_dump_takes_the_sources_of_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_CONFIG", "acme:x")
    _, out, _ = output(capsys, "dump")
    assert 'micro.config = "acme:x"  (MICRO_CONFIG)' in out.splitlines()
    assert 'address = "acme:x"  (acme.conf:1)' in out.splitlines()


@pytest.mark.usefixtures("acme")
def test_commands_for_events_use_the_broker_of_the_config(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_CONFIG", "env:APP")
    monkeypatch.setenv("APP_MICRO__BROKER", "nothing://:Canary7@h:1")
    monkeypatch.delenv("MICRO_BROKER", raising=False)
    for own, problem in (("", "micro.broker (APP_MICRO__BROKER)="), ("none:", "MICRO_BROKER=")):
        monkeypatch.setenv("MICRO_BROKER", own)
        assert main(["events", "lag", "--group", "g"]) == 1
        error = capsys.readouterr().err
        assert problem in error
        assert "there is no such broker" in error
        assert "Canary7" not in error


@pytest.mark.usefixtures("acme")
def test_explain_shows_every_source(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ADDRESS", "here")
    monkeypatch.setenv("APP_MICRO__GRACE", "5")
    monkeypatch.setenv("MICRO_GRACE", "6")
    assert output(capsys, "explain", "address", "--config", "acme:x,env:APP") == (
        0,
        '  address = "acme:x"  (acme.conf:1)\n* address = "here"  (APP_ADDRESS)\n',
        "",
    )
    assert output(capsys, "explain", "micro.grace", "--config", "env:APP")[1] == (
        '  micro.grace = 10.0  (default)\n  micro.grace = "5"  (APP_MICRO__GRACE)\n* micro.grace = "6"  (MICRO_GRACE)\n'
    )


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["explain", "nothing", "--config", "acme:x"], "micro-rt config explain: no source says anything of nothing"),
        (["explain", "a..b"], 'micro-rt config explain: the path a."".b has an empty name'),
        (["dump", "--config", "acme:down"], "micro-rt: nothing answers at acme:down"),
        (["dump", "--config", "nope:x"], "there is no such config; known: acme"),
    ],
)
def test_mistakes_of_the_commands(capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str) -> None:
    status, out, err = output(capsys, *arguments)
    assert (status, out) == (1, "")
    assert problem in err
