"""Where a Kafka cluster is and how it is spoken to: ``kafka://[user:password@]host:9092[,host2:9092]/?option=value``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["KafkaAddress", "parse_kafka_address"]

DEFAULT_PORT = 9092
MAX_MESSAGE = 1024 * 1024
"""Bytes; Kafka's own ``message.max.bytes`` is this, and a little for what is around a message."""

_SASL: Mapping[str, str] = {"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"}
_COMPRESSION = ("none", "gzip", "snappy", "lz4", "zstd")
_ASSIGNORS = ("sticky", "range", "roundrobin")
_INSTANCE = re.compile(r"[A-Za-z0-9._-]{1,200}")

T = TypeVar("T")


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
        address: ``"kafka://host:9092,host2:9092/?option=value&…"``; docs/events-kafka.md has the options.
        environ: the environment, if not that of this process: user and password may be in ``MICRO_KAFKA_USER`` and
            ``MICRO_KAFKA_PASSWORD``.

    Raises:
        ValueError: it is no such address, has an option that does not exist or makes no sense, or names a file that is
            not there. What it says never has a password in it.
    """
    env = os.environ if environ is None else environ
    parts = urlsplit(address)
    if parts.scheme != "kafka" or parts.path not in ("", "/") or parts.fragment:
        raise ValueError("a Kafka address looks like kafka://127.0.0.1:9092/?option=value")
    account, _, hosts = parts.netloc.rpartition("@")
    options = _Options(parts.query)
    user, colon, password = account.partition(":")
    if account and not (user and colon):
        raise ValueError("before the @ of a Kafka address belong user:password")
    user = unquote(user) or env.get("MICRO_KAFKA_USER", "")
    password = unquote(password) or env.get("MICRO_KAFKA_PASSWORD", "")
    sasl = options.one_of("sasl", ("", *_SASL), "plain" if account else "")
    session = options.read("session", _seconds, 30.0)
    compression = options.one_of("compression", _COMPRESSION, "none")
    made = KafkaAddress(
        servers=_servers(hosts),
        sasl=_SASL[sasl] if sasl else "",
        user=user if sasl else "",
        password=password if sasl else "",
        tls=options.read("tls", _flag, False),
        ca=options.text("ca"),
        cert=options.text("cert"),
        key=options.text("key"),
        verify=options.read("verify", _flag, True),
        compression="" if compression == "none" else compression,
        client_id=options.text("client_id", "micro-rt"),
        instance=options.text("instance"),
        session=session,
        rebalance=options.read("rebalance", _seconds, session),
        assignor=options.one_of("assignor", _ASSIGNORS, "sticky"),
        create=options.read("create", _flag, True),
        partitions=options.read("partitions", _count, None),
        replication=options.read("replication", _count, None),
        linger=options.read("linger", _seconds_or_none, 0.0),
        max_message=options.read("max_message", _count, MAX_MESSAGE),
        buffer=options.read("buffer", _count, 32 << 20),
        timeout=options.read("timeout", _seconds, 30.0),
        isolation=cast(
            "Literal['committed', 'uncommitted']",
            options.one_of("isolation", ("committed", "uncommitted"), "committed"),
        ),
        envelope=cast(
            "Literal['cloudevents', 'micro']", options.one_of("envelope", ("cloudevents", "micro"), "cloudevents")
        ),
    )
    options.end()
    return _checked(made)


class _Options:
    """What follows the question mark; each option is asked for once, and what nobody asked for does not exist."""

    def __init__(self, query: str) -> None:
        self._given: dict[str, str] = {}
        self._known: list[str] = []
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in self._given:
                raise ValueError(f"option {name!r} is given twice")
            self._given[name] = value

    def text(self, name: str, default: str = "") -> str:
        self._known.append(name)
        value = self._given.pop(name, None)
        if value == "":
            raise ValueError(f"option {name!r} has no value")
        return default if value is None else value

    def read(self, name: str, reader: Callable[[str], T], default: T) -> T:
        text = self.text(name)
        try:
            return reader(text) if text else default
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    def one_of(self, name: str, choices: tuple[str, ...], default: str) -> str:
        text = self.text(name, default)
        if text not in choices:
            raise ValueError(f"{name}={text}: it can be {', '.join(filter(None, choices))}")
        return text

    def end(self) -> None:
        if self._given:
            raise ValueError(f"there is no option {min(self._given)!r}; known: {', '.join(sorted(self._known))}")


def _servers(hosts: str) -> tuple[str, ...]:
    found: list[str] = []
    for each in (hosts or "127.0.0.1").split(","):
        try:
            parts = urlsplit(f"//{each}")
            port = DEFAULT_PORT if parts.port is None else parts.port
        except ValueError as error:
            raise ValueError(f"{each!r} is not host:port: {error}") from None
        if not parts.hostname or not port or parts.netloc != each or any(char.isspace() for char in each):
            raise ValueError(f"{each!r} is not host:port")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        found.append(f"{host}:{port}")
    return tuple(found)


def _checked(address: KafkaAddress) -> KafkaAddress:
    for name in ("ca", "cert", "key"):
        file = getattr(address, name)
        if file and not Path(file).is_file():
            raise ValueError(f"{name}={file}: there is no such file")
        if file and not address.tls:
            raise ValueError(f"{name}= is of use with tls=true only")
    if address.key and not address.cert:
        raise ValueError("key= belongs to a cert=, which is not given")
    if address.sasl and not (address.user and address.password):
        raise ValueError(
            "sasl= needs a user and a password: before the @ of the address, or in MICRO_KAFKA_USER and MICRO_KAFKA_PASSWORD"
        )
    if address.instance and not _INSTANCE.fullmatch(address.instance):
        raise ValueError(f"instance={address.instance}: use up to 200 letters, digits, '.', '_' and '-'")
    if address.buffer < address.max_message:
        raise ValueError(f"buffer={address.buffer} has no room for one message of max_message={address.max_message}")
    return address


def _flag(text: str) -> bool:
    if text.lower() in ("true", "1"):
        return True
    if text.lower() in ("false", "0"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _seconds(text: str) -> float:
    number = _seconds_or_none(text)
    if number == 0.0:
        raise ValueError(f"{text!r} is not more than 0 seconds")
    return number


def _seconds_or_none(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number < 1e6:
        raise ValueError(f"{text!r} is no number of seconds")
    return number


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,9}", text):
        raise ValueError(f"{text!r} is no whole number above 0")
    return int(text)
