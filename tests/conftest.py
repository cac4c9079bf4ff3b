"""Real servers for the tests; what is said here of ``consul`` holds for every kind.

``consul`` is a server that the whole run shares, all workers of pytest-xdist (only ``kafka`` is one a worker): ``.address``
and ``.url``; tests use names of their own there. ``kafka_cluster`` has three brokers, which a test may kill, stop and pause. ``make_consul(…)`` makes a server for one test, to be started, killed and started again. Nothing is started
that no test asks for. Where the programs come from is told in ``tests/servers``; what cannot be had makes the tests that need it skip,
or fail if ``MICRO_REQUIRE_SERVERS=1``.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.missing import missing
from tests.servers.cache import Unobtainable
from tests.servers.consul import Consul
from tests.servers.etcd import Etcd
from tests.servers.hub import Hub
from tests.servers.kafka import Kafka, KafkaCluster
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgresql import PostgreSQL
from tests.servers.server import Server
from tests.servers.shared import KINDS, USED, Elsewhere, Servers

pytest_plugins = ["tests.helpers.sizes"]

_SERVERS = pytest.StashKey[Servers]()
_HUB = pytest.StashKey[Hub]()
_WORKERS = pytest.StashKey[dict[str, None]]()


# How long an example takes says more about the machine than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    # The tests that run mypy look at this project's own types again and again: they keep what they learn. Each worker
    # has a cache of its own: many programs of the tests have the same name, and mypy can read what another one writes.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ["MYPY_CACHE_DIR"] = str(config.rootpath / ".mypy_cache" / "tests" / worker)
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        # It takes minutes to build some: nobody must think that the run hangs.
        reporter = config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.ensure_newline()
                reporter.write_line(f"[servers] {line}", flush=True)

    given: dict[str, Any] = getattr(config, "workerinput", {})
    config.stash[_SERVERS] = Servers(say, given.get("servers", ""))
    config.stash[_WORKERS] = {}


def pytest_collection_finish() -> None:
    # The ten thousand tests themselves live as long as the run. Looking through them would take most of each collection of garbage,
    # and each test of a contract makes one.
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Has a new worker of pytest-xdist ask this process for the servers that all share."""
    stash = node.config.stash
    if _HUB not in stash:
        stash[_HUB] = Hub(stash[_SERVERS])
    node.workerinput["servers"] = stash[_HUB].path


def pytest_unconfigure(config: pytest.Config) -> None:
    if _HUB in config.stash:  # Every worker has ended.
        config.stash[_HUB].close()
        config.stash[_SERVERS].close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:  # of pytest-xdist: what a worker has to say, the whole run says
        output["servers"] = session.config.stash[_SERVERS].report()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_WORKERS].update(dict.fromkeys(getattr(node, "workeroutput", {}).get("servers", ())))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = [*config.stash[_SERVERS].report(), *config.stash[_WORKERS]]
    used = [each for line in lines if line.startswith(USED) for each in line.removeprefix(USED).split(", ")]
    if used:
        terminalreporter.write_line(USED + ", ".join(dict.fromkeys(used)))
    for line in dict.fromkeys(line for line in lines if not line.startswith(USED)):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def servers(pytestconfig: pytest.Config) -> Iterator[Servers]:
    servers = pytestconfig.stash[_SERVERS]
    yield servers
    servers.close()


def _shared(servers: Servers, kind: str) -> Server | Elsewhere:
    try:
        return servers.shared(kind)
    except Unobtainable as reason:
        missing(reason)


def _making(servers: Servers, kind: str, of: type[Server] | None = None) -> Iterator[Callable[..., Any]]:
    try:
        program = servers.program(kind)
    except Unobtainable as reason:
        missing(reason)
    made: list[Server] = []

    def make(*args: Any, **options: Any) -> Server:
        server = (of or KINDS[kind])(program, *args, **options)
        made.append(server)
        return server

    yield make
    for server in reversed(made):  # A client agent before its server.
        server.close()


@pytest.fixture(scope="session")
def consul(servers: Servers) -> Server | Elsewhere:
    return _shared(servers, "consul")


@pytest.fixture(scope="session")
def etcd(servers: Servers) -> Server | Elsewhere:
    return _shared(servers, "etcd")


@pytest.fixture(scope="session")
def kafka(servers: Servers) -> Server | Elsewhere:
    return _shared(servers, "kafka")


@pytest.fixture(scope="session")
def postgresql(servers: Servers) -> Server | Elsewhere:
    return _shared(servers, "postgresql")


@pytest.fixture
def make_consul(servers: Servers) -> Iterator[Callable[..., Consul]]:
    yield from _making(servers, "consul")


@pytest.fixture
def make_etcd(servers: Servers) -> Iterator[Callable[..., Etcd]]:
    yield from _making(servers, "etcd")


@pytest.fixture
def make_kafka(servers: Servers) -> Iterator[Callable[..., Kafka]]:
    yield from _making(servers, "kafka")


@pytest.fixture
def own_kafka(servers: Servers) -> Iterator[Kafka]:
    """A Kafka that runs and belongs to the test alone: it may kill it, and stop it. Starting one takes seconds, so tests use one
    after the other, each with topics and groups of its own."""
    try:
        server = servers.spare("kafka")
    except Unobtainable as reason:
        missing(reason)
    assert isinstance(server, Kafka)
    yield server


@pytest.fixture
async def kafka_cluster(servers: Servers) -> AsyncIterator[KafkaCluster]:
    """Three Kafka brokers that run and belong to the test alone, with every replica in sync: it may kill, stop and pause
    them. Tests of a worker use one cluster after the other, each with topics and groups of its own."""
    try:
        cluster = await asyncio.to_thread(servers.cluster)
    except Unobtainable as reason:
        missing(reason)
    await cluster.until_in_sync()
    yield cluster


@pytest.fixture(scope="module")
def make_kafkas(servers: Servers) -> Iterator[Callable[..., Kafka]]:
    """``make_kafka`` for fixtures of a whole module."""
    yield from _making(servers, "kafka")


@pytest.fixture
def make_postgresql(servers: Servers) -> Iterator[Callable[..., PostgreSQL]]:
    yield from _making(servers, "postgresql")


@pytest.fixture
def make_pgbouncer(servers: Servers) -> Iterator[Callable[..., PgBouncer]]:
    yield from _making(servers, "pgbouncer", PgBouncer)
