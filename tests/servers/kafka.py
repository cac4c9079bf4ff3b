"""Apache Kafka: one broker that is its own controller (KRaft), or a cluster of three (``KafkaCluster``)."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import socket
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiokafka.admin
import aiokafka.errors

from tests.servers.obtain import Found
from tests.servers.process import Ports
from tests.servers.server import Server

__all__ = ["Kafka", "KafkaCluster"]


class Kafka(Server):
    """A Kafka broker; it keeps its data over ``start``.

    Args:
        found: the folder with its jars.
        properties: more lines of ``server.properties``, or other values for those that are there. With an item
            ``"listeners"`` of its own comes whatever else a listener needs (certificates, users).
        node: its number in a cluster, from 1.
        controllers: the ports of the controllers of every node of its cluster, this one's included; none if it is alone.
        heap: the memory of its Java heap.
    """

    kind = "kafka"
    scheme = "kafka"

    def __init__(
        self,
        found: Found,
        *,
        properties: dict[str, str] | None = None,
        node: int = 1,
        controllers: Sequence[int] = (),
        heap: str = "512m",
    ) -> None:
        super().__init__(found)
        self.node = node
        self._heap = heap
        controllers = controllers or [self._ports.take()]
        controller = f"127.0.0.1:{controllers[node - 1]}"
        lines = {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "controller.quorum.voters": ",".join(
                f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, start=1)
            ),
            "log.dirs": str(self.data),
            # One broker has one replica to offer.
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "offsets.topic.num.partitions": "1",
            # Tests join groups all the time, and would wait 3 s for more members each time.
            "group.initial.rebalance.delay.ms": "0",
            # So long does a broker that was killed wait for its own session to end when it is started again.
            "broker.session.timeout.ms": "4000",
            "broker.heartbeat.interval.ms": "500",
            **(properties or {}),
        }
        self._properties = self.folder / "server.properties"
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def prepare(self) -> None:
        tool = "kafka.tools.StorageTool"
        self.run_tool([*self._java("-Xmx256m"), tool, "format", "-t", _identifier(), "-c", str(self._properties)])

    def command(self) -> list[str]:
        return [*self._java(f"-Xmx{self._heap}"), "kafka.Kafka", str(self._properties)]

    def ready(self) -> bool:
        if "Kafka Server started" not in self.output():
            return False
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def _java(self, *options: str) -> list[str]:
        # Compiling thoroughly costs a short-lived broker more than it brings.
        usual = ["-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
        return [shutil.which("java") or "java", *usual, *options, "-cp", f"{self.found.path}/*"]


class KafkaCluster:
    """Three Kafka brokers, each with a replica of every topic; two of them must have a record before it is accepted.

    Each of ``brokers`` can be stopped, killed, paused and started like any server. Clients connect to ``url``.

    Args:
        found: the folder with Kafka's jars.
        properties: as of ``Kafka``, for every broker.
    """

    kind = "kafka_cluster"
    size = 3

    def __init__(self, found: Found, *, properties: dict[str, str] | None = None) -> None:
        self._ports = Ports()
        controllers = [self._ports.take() for _ in range(self.size)]
        lines = {
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "transaction.state.log.min.isr": "2",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "3",
            "share.coordinator.state.topic.min.isr": "2",
            **(properties or {}),
        }
        self.brokers = [
            Kafka(found, properties=lines, node=node, controllers=controllers, heap="300m")
            for node in range(1, self.size + 1)
        ]

    @property
    def address(self) -> str:
        """Host and port of every broker, separated by commas."""
        return ",".join(broker.address for broker in self.brokers)

    @property
    def url(self) -> str:
        """What ``MICRO_BROKER`` takes."""
        return f"kafka://{self.address}"

    @property
    def running(self) -> bool:
        """Whether every broker has a process; it may be paused."""
        return all(broker.running for broker in self.brokers)

    def start_now(self) -> None:
        """Starts every broker that does not run, lets those go on that are paused, and returns when all answer.

        Raises:
            RuntimeError: a broker ended, or does not answer; with the end of what it said.
        """
        first = self.brokers[0]
        if not first.data.exists():
            first.data.mkdir()
            first.prepare()
            for other in self.brokers[1:]:
                self._format_like(first, other)
        for broker in self.brokers:
            if broker.running:
                broker.resume_now()
        # None is ready before two of them have met.
        with ThreadPoolExecutor(self.size) as pool:
            list(pool.map(Kafka.start_now, [broker for broker in self.brokers if not broker.running]))

    async def start(self) -> None:
        """See ``start_now``; returns when every replica is in sync."""
        await asyncio.to_thread(self.start_now)
        await self.until_in_sync()

    async def restart(self, broker: Kafka) -> None:
        """Stops a broker as an operator does, starts it again, and returns when its replicas are in sync."""
        await broker.stop()
        await broker.start()
        await self.until_in_sync()

    async def leader(self, topic: str, partition: int = 0) -> Kafka:
        """Returns the broker that leads a partition now.

        Raises:
            LookupError: the partition has no leader, or does not exist.
        """
        for described in (await self._topics())[topic]:
            if described["partition"] == partition and described["leader"] > 0:
                return self.brokers[described["leader"] - 1]
        raise LookupError(f"{topic}[{partition}] has no leader")

    async def replicas(self, topic: str) -> dict[int, list[int]]:
        """Returns which nodes have a replica of each partition of a topic, whether they run or not; none while it is not known yet."""
        return {each["partition"]: sorted(each["replicas"]) for each in (await self._topics()).get(topic, ())}

    async def until_in_sync(self) -> None:
        """Waits until every replica of every topic is in sync.

        Raises:
            TimeoutError: one is not after a minute and a half.
        """
        async with asyncio.timeout(Kafka.start_limit):
            while any(
                len(each["isr"]) < len(each["replicas"])
                for partitions in (await self._topics()).values()
                for each in partitions
            ):
                await asyncio.sleep(0.1)

    def close(self) -> None:
        """Ends every broker, and removes all that they wrote."""
        for broker in self.brokers:
            broker.close()
        self._ports.close()

    async def _topics(self) -> dict[str, list[dict[str, Any]]]:
        """Returns what the first broker that answers says of the partitions of each topic."""
        for broker in self.brokers:
            if not broker.running:
                continue
            admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=broker.address, request_timeout_ms=2000)
            try:
                await admin.start()
                try:
                    return {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics()}
                finally:
                    await admin.close()
            except aiokafka.errors.KafkaError:
                continue
        raise LookupError("no broker of the cluster answers")

    @staticmethod
    def _format_like(first: Kafka, other: Kafka) -> None:
        """Makes the data folder of a broker from the first one's: the tool that formats takes seconds."""
        shutil.copytree(first.data, other.data)
        described = other.data / "meta.properties"
        text = re.sub(r"(?m)^node\.id=.*$", f"node.id={other.node}", described.read_text())
        described.write_text(re.sub(r"(?m)^directory\.id=.*$", f"directory.id={_identifier()}", text))


def _identifier() -> str:
    """Returns an id as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
