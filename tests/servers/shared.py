"""The servers of one test run: each started when the first test asks, and used by all, in every process of the run."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from tests.servers.cache import Say, Unobtainable, show
from tests.servers.consul import Consul
from tests.servers.etcd import Etcd
from tests.servers.hub import ask
from tests.servers.kafka import Kafka, KafkaCluster
from tests.servers.obtain import RECIPES, Found
from tests.servers.postgresql import PostgreSQL
from tests.servers.server import Server

__all__ = ["KINDS", "USED", "Elsewhere", "Servers"]

KINDS: Mapping[str, type[Server]] = {"consul": Consul, "etcd": Etcd, "kafka": Kafka, "postgresql": PostgreSQL}
"""The kinds of server, by the name of their fixture."""
_OF_A_WORKER = {"kafka"}
"""Kinds that each worker of pytest-xdist has one of: many tests name their consumer group ``g``, and must not run at once."""
USED = "servers: "
"""Begins the line of a report that names what was used."""


@dataclass(frozen=True)
class Elsewhere:
    """A server that runs already, named in the environment as in ``MICRO_TEST_CONSUL=127.0.0.1:8500`` or with its URL."""

    address: str
    url: str
    given: bool = False
    """Whether it belongs to this run: its first process started it for all."""


class Servers:
    """Finds and starts each server once, remembers what could not be had, and ends all of them.

    Args:
        say: shows progress.
        hub: the path of the hub that gives the shared servers, if another process has them.
    """

    def __init__(self, say: Say = show, hub: str = "") -> None:
        self._say = say
        self._hub = hub
        self._programs: dict[str, Found | Unobtainable] = {}
        self._shared: dict[str, Server | Elsewhere | Unobtainable] = {}
        self._spare: dict[str, Server] = {}
        self._cluster: KafkaCluster | None = None

    def program(self, kind: str) -> Found:
        """Returns the program of a kind of server, to start servers of one's own with.

        Raises:
            Unobtainable: it cannot be had here.
        """
        if kind not in self._programs:
            try:
                self._programs[kind] = RECIPES[kind](self._say)
            except Unobtainable as error:
                self._programs[kind] = error
        program = self._programs[kind]
        if isinstance(program, Unobtainable):
            raise Unobtainable(str(program))
        return program

    def shared(self, kind: str) -> Server | Elsewhere:
        """Returns the server of a kind that all tests share; each test uses names of its own there.

        Raises:
            Unobtainable: it cannot be had here.
        """
        if kind not in self._shared:
            try:
                self._shared[kind] = _elsewhere(kind) or self._given(kind) or self._start(kind)
            except Unobtainable as error:
                self._shared[kind] = error
        server = self._shared[kind]
        if isinstance(server, Unobtainable):
            raise Unobtainable(str(server))
        return server

    def spare(self, kind: str) -> Server:
        """Returns a server that runs, for one test after the other, each of which may kill, stop and start it.

        Raises:
            Unobtainable: it cannot be had here.
        """
        server = self._spare.pop(kind, None)
        if server is None:
            server = self._start(kind)
        elif not server.running:
            server.start_now()
        self._spare[kind] = server
        return server

    def cluster(self) -> KafkaCluster:
        """Returns three Kafka brokers that run, for one test after the other, each of which may kill, stop and pause them.

        Raises:
            Unobtainable: Kafka cannot be had here.
        """
        if self._cluster is None:
            self._cluster = KafkaCluster(self.program("kafka"))
        self._cluster.start_now()
        return self._cluster

    def report(self) -> list[str]:
        """Returns a line of what was used and from where, and one for each thing that could not be had."""
        used = [
            f"{kind} {at.address} ({_variable(kind)})"
            for kind, at in self._shared.items()
            if isinstance(at, Elsewhere) and not at.given
        ]
        used += [str(found) for found in self._programs.values() if isinstance(found, Found)]
        missing = {
            str(error) for error in [*self._programs.values(), *self._shared.values()] if isinstance(error, Exception)
        }
        return ([USED + ", ".join(used)] if used else []) + [
            f"cannot be obtained: {error}" for error in sorted(missing)
        ]

    def close(self) -> None:
        """Stops what was started, the last first."""
        if self._cluster is not None:
            self._cluster.close()
            self._cluster = None
        for server in self.running():
            server.close()
        self._shared.clear()
        self._spare.clear()

    def running(self) -> list[Server]:
        """Returns what was started, the last first."""
        servers = [*self._shared.values(), *self._spare.values()]
        return [server for server in reversed(servers) if isinstance(server, Server)]

    def _given(self, kind: str) -> Elsewhere | None:
        if not self._hub or kind in _OF_A_WORKER:
            return None
        answer = ask(self._hub, kind)
        if "missing" in answer:
            raise Unobtainable(answer["missing"])
        return Elsewhere(answer["address"], answer["url"], given=True)

    def _start(self, kind: str) -> Server:
        server = KINDS[kind](self.program(kind))
        try:
            server.start_now()
        except BaseException:
            server.close()
            raise
        return server


def _variable(kind: str) -> str:
    return f"MICRO_TEST_{kind.upper()}"


def _elsewhere(kind: str) -> Elsewhere | None:
    named = os.environ.get(_variable(kind))
    if not named:
        return None
    scheme = KINDS[kind].scheme
    url = named if "://" in named else f"{scheme}://{named}"
    address = url.partition("://")[2].rpartition("@")[2].partition("/")[0].partition("?")[0]
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()
    except (OSError, ValueError) as error:
        raise Unobtainable(f"{kind}: {_variable(kind)} names {named}, and it cannot be reached: {error}") from error
    return Elsewhere(address, url)
