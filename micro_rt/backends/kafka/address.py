"""Where a Kafka cluster is and how it is spoken to: ``kafka://[user:password@]host:9092[,host2:9092]/?option=value``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import unquote

from micro_rt.kit.address import Options, check_files, count, flag, parts_of, seconds, seconds_or_zero
from micro_rt.kit.net import join, split_server
from micro_rt.kit.variables import variable

__all__ = ["KafkaAddress", "parse_kafka_address"]

DEFAULT_PORT = 9092
MAX_MESSAGE = 1024 * 1024
"""Bytes; Kafka's own ``message.max.bytes`` is this, and a little for what is around a message."""

_SASL: Mapping[str, str] = {"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}
_COMPRESSION = ("none", "gzip", "snappy", "lz4", "zstd")
_ASSIGNORS = ("sticky", "range", "roundrobin")
_INSTANCE = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """A cluster, and everything that connections to it need; times are in seconds, sizes in bytes."""

    servers: tuple[str, ...]
    """Brokers to ask first, as ``"host:port"``."""
    sasl: str = ""
    """``"PLAIN"``, ``"SCRAM-SHA-256"`` or ``"SCRAM-SHA-512"``; empty for none."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True
    compression: str = ""
    """What batches are written with; empty for nothing."""
    client_id: str = "micro-rt"
    instance: str = ""
    """The name of a static member; empty for members that leave when they close."""
    session: float = 30.0
    """Silence after which a member is taken for dead."""
    rebalance: float = 30.0
    """How long members have to give up partitions, and so what runs in them has to finish."""
    assignor: str = "sticky"
    create: bool = True
    partitions: int | None = None
    """Of topics that are made; None for the cluster's default."""
    replication: int | None = None
    linger: float = 0.0
    """How long the first message of a batch waits for more."""
    max_message: int = MAX_MESSAGE
    buffer: int = 32 << 20
    """Bytes that may be on their way, before publishing waits."""
    timeout: float = 30.0
    """How long publishing waits without progress, and at most what a request may take."""
    isolation: Literal["committed", "uncommitted"] = "committed"
    envelope: Literal["cloudevents", "micro"] = "cloudevents"
    framing: Literal["none", "confluent"] = "none"
    """Which framing of values is read beside bare messages."""

    @property
    def place(self) -> str:
        """Where it is, for messages: ``"kafka-1:9092, kafka-2:9092"``."""
        return ", ".join(self.servers)

    @property
    def protocol(self) -> str:
        """How Kafka calls the way it is connected to: ``"SASL_SSL"``."""
        return f"{'SASL_' if self.sasl else ''}{'SSL' if self.tls else 'PLAINTEXT'}"


def parse_kafka_address(address: str, environ: Mapping[str, str] | None = None) -> KafkaAddress:
    """Reads an address.

    Args:
        address: ``"kafka://host:9092,host2:9092/?option=value&…"``; docs/kafka.md has the options.
        environ: the environment, if not that of this process: user and password may be in ``MICRO_KAFKA_USER`` and
            ``MICRO_KAFKA_PASSWORD``.

    Raises:
        ValueError: it is no such address, has an option that does not exist or makes no sense, or names a file that is
            not there. What it says never has a password in it.
    """
    parts = parts_of(address, "kafka", "a Kafka address looks like kafka://127.0.0.1:9092/?option=value")
    options = Options(parts.query)
    user, colon, password = parts.account.partition(":")
    if parts.account and not (user and colon):
        raise ValueError("before the @ of a Kafka address belong user:password")
    user = unquote(user) or _variable("MICRO_KAFKA_USER", environ)
    password = unquote(password) or _variable("MICRO_KAFKA_PASSWORD", environ)
    sasl = options.one_of("sasl", ("", *_SASL), "plain" if parts.account else "")
    session = options.read("session", seconds, 30.0)
    compression = options.one_of("compression", _COMPRESSION, "none")
    made = KafkaAddress(
        servers=_servers(parts.hosts),
        sasl=_SASL[sasl] if sasl else "",
        user=user if sasl else "",
        password=password if sasl else "",
        tls=options.read("tls", flag, False),
        ca=options.text("ca"),
        cert=options.text("cert"),
        key=options.text("key"),
        verify=options.read("verify", flag, True),
        compression="" if compression == "none" else compression,
        client_id=options.text("client_id", "micro-rt"),
        instance=options.text("instance"),
        session=session,
        rebalance=options.read("rebalance", seconds, session),
        assignor=options.one_of("assignor", _ASSIGNORS, "sticky"),
        create=options.read("create", flag, True),
        partitions=options.read("partitions", count, None),
        replication=options.read("replication", count, None),
        linger=options.read("linger", seconds_or_zero, 0.0),
        max_message=options.read("max_message", count, MAX_MESSAGE),
        buffer=options.read("buffer", count, 32 << 20),
        timeout=options.read("timeout", seconds, 30.0),
        isolation=cast(
            "Literal['committed', 'uncommitted']",
            options.one_of("isolation", ("committed", "uncommitted"), "committed"),
        ),
        envelope=cast(
            "Literal['cloudevents', 'micro']", options.one_of("envelope", ("cloudevents", "micro"), "cloudevents")
        ),
        framing=cast("Literal['none', 'confluent']", options.one_of("framing", ("none", "confluent"), "none")),
    )
    options.end()
    return _checked(made)


def _servers(hosts: str) -> tuple[str, ...]:
    return tuple(join(*split_server(each, DEFAULT_PORT)) for each in (hosts or "127.0.0.1").split(","))


def _checked(address: KafkaAddress) -> KafkaAddress:
    check_files(tls=address.tls, ca=address.ca, cert=address.cert, key=address.key)
    if address.sasl and not (address.user and address.password):
        raise ValueError(
            "sasl= needs a user and a password: before the @ of the address, or in MICRO_KAFKA_USER and MICRO_KAFKA_PASSWORD"
        )
    if address.instance and not _INSTANCE.fullmatch(address.instance):
        raise ValueError(f"instance={address.instance}: use up to 200 letters, digits, '.', '_' and '-'")
    if address.buffer < address.max_message:
        raise ValueError(f"buffer={address.buffer} has no room for one message of max_message={address.max_message}")
    return address


def _variable(name: str, environ: Mapping[str, str] | None) -> str:
    return variable(name) if environ is None else environ.get(name, "")
