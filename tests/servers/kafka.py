"""Apache Kafka with one broker, which is its own controller (KRaft)."""

from __future__ import annotations

import base64
import shutil
import socket
import uuid

from tests.servers.obtain import Found
from tests.servers.server import Server

__all__ = ["Kafka"]


class Kafka(Server):
    """A Kafka broker; it keeps its data over ``start``.

    Args:
        found: the folder with its jars.
        properties: more lines of ``server.properties``, or other values for those that are there. With an item
            ``"listeners"`` of its own comes whatever else a listener needs (certificates, users).
    """

    kind = "kafka"
    scheme = "kafka"

    def __init__(self, found: Found, *, properties: dict[str, str] | None = None) -> None:
        super().__init__(found)
        controller = f"127.0.0.1:{self._ports.take()}"
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "controller.quorum.voters": f"1@{controller}",
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
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
        tool = "kafka.tools.StorageTool"
        self.run_tool([*self._java("-Xmx256m"), tool, "format", "-t", cluster, "-c", str(self._properties)])

    def command(self) -> list[str]:
        return [*self._java("-Xmx512m"), "kafka.Kafka", str(self._properties)]

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
