"""The DNS messages of registry ``mdns:``: names, texts and packets, written and read as go-micro's registry does.

Read from go-micro v5 (https://github.com/micro/go-micro/tree/v5.8.0: ``registry/mdns_registry.go``, ``util/mdns``). A node is an
instance ``<id>.<service>.<domain>`` with SRV, address and TXT records; the TXT holds JSON, packed. A question is asked of
``<service>.<domain>``, or of ``_services.<domain>`` for the names of all services. go-micro's reader takes one node from a packet
and wants all of its records in it, so every node is a packet of its own.

The DNS messages are zeroconf's; its browser and its responder are not used, because they know only services named
``_x._tcp.local``, keep records for at least 19 minutes, and drop packets that are like one of the last 0.8 seconds.
"""

# pyright: reportPrivateImportUsage=false
# zeroconf imports the messages into its package for all to use, but does not say so in the way that type checkers know.

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from zeroconf import (  # type: ignore[attr-defined]
    DNSAddress,
    DNSIncoming,
    DNSOutgoing,
    DNSPointer,
    DNSQuestion,
    DNSRecord,
    DNSService,
    DNSText,
)

from micro_rt.errors import InvalidArgument
from micro_rt.go_micro.nodes import (
    ADDED,
    decode_endpoints,
    decode_node,
    deflate,
    endpoints_json,
    inflate,
    json_of,
    metadata_of,
)
from micro_rt.kit.foreign import read_json, whole
from micro_rt.kit.net import bare_host, join
from micro_rt.node import EndpointInfo, Node
from micro_rt.registry.unreadable import Unreadable

__all__ = [
    "GROUP",
    "GROUP_IPV6",
    "NO_STAMP",
    "SERVICES",
    "Domain",
    "HeardInstance",
    "OwnInstance",
    "Packet",
    "Question",
    "Stamp",
    "label_of",
    "query",
    "read",
]

GROUP = "224.0.0.251"
GROUP_IPV6 = "ff02::fb"
SERVICES = "_services"

Stamp: TypeAlias = tuple[int, str]
"""Which registration of an id it is: a later one is greater."""
NO_STAMP: Stamp = (0, "")
"""Of a node that somebody else's registry announced."""

MAX_NAME = 110
MAX_ID = 80
MAX_DOMAIN = 60
"""Bytes; together with the dots they are less than the 253 that a name in DNS may have."""

_ID = "micro-id"
_ADDRESS = "micro-address"
_LEASE = "micro-lease"
_VERSION = "micro-version"

_A, _PTR, _TXT, _AAAA, _SRV, _ANY = 1, 12, 16, 28, 33, 255
_IN, _UNIQUE = 1, 0x8000
_QUERY, _RESPONSE = 0x0000, 0x8400


class Domain:
    """The names in DNS under one domain.

    Args:
        domain: such as ``"micro"``.
    """

    def __init__(self, domain: str) -> None:
        self.suffix = f".{domain}."
        self.services = SERVICES + self.suffix

    def service(self, name: str) -> str:
        """Returns what is asked for the nodes of a name."""
        return label_of(name, MAX_NAME) + self.suffix

    def instance(self, name: str, id: str) -> str:
        """Returns what a node is called under a name."""
        return f"{label_of(id, MAX_ID)}.{self.service(name)}"


@dataclass(frozen=True, slots=True)
class OwnInstance:
    """A node of this process under one of its names: a DNS instance, ready to be announced."""

    domain: Domain
    name: str
    node: Node
    text: bytes
    """What is in the TXT record."""
    address: bytes
    """Packed: of 4 or 16 bytes."""

    @staticmethod
    def of(domain: Domain, name: str, node: Node, ip: str, stamp: Stamp) -> OwnInstance:
        """Writes a node down, with as much about its methods as there is room for in a packet.

        Args:
            domain: where.
            name: under which it is to be found.
            node: the node.
            ip: the address of its host.
            stamp: which registration it is.

        Raises:
            InvalidArgument: there is no room even without its methods.
        """
        address = ipaddress.ip_address(ip)
        text = b""
        for endpoints in _shorter(node.endpoints):
            text = _text(name, node, str(address), stamp, endpoints)
            own = OwnInstance(domain, name, node, text, address.packed)
            if own._fits():
                return own
        raise InvalidArgument(
            f"{node.id} cannot be registered with mdns: what it says of itself takes {len(text)} bytes, and there is room for "
            f"about 1200 in a packet: shorten its metadata or its name, or use another registry"
        )

    def announcement(self, ttl: int) -> bytes:
        """Returns the packet that tells everybody.

        Args:
            ttl: seconds that they may believe it; 0 says that it is gone.
        """
        out = DNSOutgoing(_RESPONSE)
        for record in self._records(ttl):
            out.add_answer_at_time(record, 0)
        return out.packets()[0]

    def answer(self, question: Question, ttl: int) -> bytes:
        """Returns the packet that answers a question.

        Args:
            question: the question.
            ttl: seconds that it may be believed.
        """
        return self._answer(question, ttl)[0]

    def listing(self, question: Question, ttl: int) -> bytes:
        """Returns the packet that answers the question for all names; go-micro's says port 9999 and no address."""
        entry = f"{label_of(self.name, MAX_NAME)}.{self.domain.services}"
        out = _response(question)
        out.add_answer_at_time(DNSPointer(self.domain.services, _PTR, _IN, ttl, entry), 0)
        out.add_answer_at_time(DNSService(entry, _SRV, _IN, ttl, 10, 1, 9999, entry), 0)
        out.add_answer_at_time(DNSAddress(entry, _A, _IN, ttl, bytes(4)), 0)
        out.add_answer_at_time(DNSText(entry, _TXT, _IN, ttl, b"\0"), 0)
        return out.packets()[0]

    def _fits(self) -> bool:
        # zeroconf makes another packet of what does not fit into one of 1460 bytes, and cannot write what no packet can hold.
        return (
            len(self.text) < 1460
            and len(self._answer(Question(self.domain.instance(self.name, self.node.id), _ANY, False, 1), 1)) == 1
        )

    def _answer(self, question: Question, ttl: int) -> list[bytes]:
        out = _response(question)
        instance = self.domain.instance(self.name, self.node.id)
        out.add_answer_at_time(DNSPointer(self.domain.service(self.name), _PTR, _IN, ttl, instance), 0)
        for record in self._records(ttl):
            out.add_answer_at_time(record, 0)
        return out.packets()

    def _records(self, ttl: int) -> Iterator[DNSRecord]:
        # The instance is its own host: as many hosts as instances, and no two that say something else of one.
        instance = self.domain.instance(self.name, self.node.id)
        port = int(self.node.address.rpartition(":")[2])
        yield DNSService(instance, _SRV, _IN | _UNIQUE, ttl, 10, 1, port, instance)
        yield DNSAddress(instance, _A if len(self.address) == 4 else _AAAA, _IN | _UNIQUE, ttl, self.address)
        yield DNSText(instance, _TXT, _IN | _UNIQUE, ttl, self.text)


@dataclass(frozen=True, slots=True)
class Question:
    """A question that another process asked."""

    name: str
    type: int
    unicast: bool
    """Whether the answer is for the one who asks alone."""
    id: int = 0
    """Of the message, repeated in an answer to the one who asks alone; 0 in others."""

    @property
    def is_for_nodes(self) -> bool:
        """Whether it asks for what a name stands for."""
        return self.type in (_PTR, _ANY)

    @property
    def is_for_a_node(self) -> bool:
        """Whether it asks for what an instance is."""
        return self.type in (_SRV, _TXT, _A, _AAAA, _ANY)


@dataclass(frozen=True, slots=True)
class HeardInstance:
    """A node of another process under one of its names, as a packet announced it."""

    name: str
    node: Node
    stamp: Stamp
    ttl: int
    """Seconds; 0 says that it is gone."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What is in a packet; nothing, if it cannot be read."""

    questions: tuple[Question, ...] = ()
    nodes: tuple[HeardInstance, ...] = ()
    names: tuple[str, ...] = ()
    """Labels of names that have nodes."""


def label_of(text: str, room: int = MAX_NAME) -> str:
    """Returns text as a name in DNS, dots and all; shortened to something unique where DNS has no room for it."""
    data = text.encode(errors="surrogatepass")
    if text != SERVICES and len(data) <= room and all(0 < len(label) <= 63 for label in data.split(b".")):
        return text
    return f"{re.sub('[^A-Za-z0-9]+', '-', text)[:32]}-{hashlib.sha256(data).hexdigest()[:24]}"


def query(name: str) -> bytes:
    """Returns the packet that asks who is behind a name."""
    out = DNSOutgoing(_QUERY)
    out.add_question(DNSQuestion(name, _PTR, _IN))
    return out.packets()[0]


def read(data: bytes, domain: Domain, port: int, mdns_port: int, unreadable: Unreadable, zone: str = "") -> Packet:
    """Reads a packet.

    Args:
        data: the packet.
        domain: whose nodes to read; others are nobody's business here.
        port: where it was sent from.
        mdns_port: where those send from who hear what all hear; any other port wants the answer for itself.
        unreadable: notes the instances that cannot be read.
        zone: where it was heard; nodes with a link-local address are reached there. A sender's own zone means nothing here.
    """
    message = DNSIncoming(data)
    if not message.valid:
        return Packet()
    if message.is_query():
        alone = port != mdns_port
        return Packet(
            tuple(
                Question(question.name, question.type, alone or question.unicast, message.id if alone else 0)
                for question in message.questions
            )
        )
    names: list[str] = []
    services: dict[str, DNSService] = {}
    texts: list[DNSText] = []
    addresses: dict[str, str] = {}
    for record in message.answers():
        if isinstance(record, DNSText):
            texts.append(record)
        elif isinstance(record, DNSService):
            services[record.key] = record
        elif isinstance(record, DNSAddress):
            # A host that has both is called by the old kind, as go-micro does.
            if record.type == _A or record.key not in addresses:
                addresses[record.key] = str(ipaddress.ip_address(record.address))
        elif isinstance(record, DNSPointer) and record.key == domain.services.lower() and record.ttl:
            label = record.alias.removesuffix(f".{domain.services}")
            if label != record.alias:
                names.append(label)
    heard = [_heard(text, services, addresses, domain, unreadable, zone) for text in texts]
    return Packet(nodes=tuple([each for each in heard if each is not None]), names=tuple(names))


def _heard(
    text: DNSText,
    services: dict[str, DNSService],
    addresses: dict[str, str],
    domain: Domain,
    unreadable: Unreadable,
    zone: str,
) -> HeardInstance | None:
    service = services.get(text.key)
    if service is None or not text.key.endswith(domain.suffix.lower()):
        return None
    try:
        fields = _unpack(text.text)
        name = str(fields.get("Service") or "")
        metadata = _texts(fields.get("Metadata"))
        version = str(fields.get("Version") or "")
        endpoints = decode_endpoints(fields.get("Endpoints"))
        "".join((name, version, *metadata, *metadata.values())).encode()  # JSON can hold what UTF-8 cannot.
    except Exception as error:  # Everybody on the network may send anything.
        unreadable.note(f"what mdns says of {text.name!r}", error)
        return None
    behind = f".{domain.service(name)}"
    if not text.key.endswith(behind.lower()):
        return None
    label = text.name[: -len(behind)]
    id, address, stamp = label, "", NO_STAMP
    if ADDED in metadata:
        id = metadata.pop(_ID, label)
        address = metadata.pop(_ADDRESS, "")
        version = metadata.pop(_VERSION, version)
        stamp = _stamp_of(metadata.pop(_LEASE, ""))
        if label_of(id, MAX_ID) != label:
            return None
    if not address:
        host = addresses.get(service.server_key)
        if host is None:
            return None
        address = join(host, service.port)
    try:
        node = decode_node(id, _in_zone(address, zone), version, metadata, endpoints)
    except ValueError as error:
        unreadable.note(f"what mdns says of {text.name!r}", error)
        return None
    node = dataclasses.replace(node, registered=stamp[0])
    return HeardInstance(name, node, stamp, min(service.ttl, text.ttl))


def _in_zone(address: str, zone: str) -> str:
    """Returns an address; with another zone, if its host is link-local."""
    host, _, port = address.rpartition(":")
    if not zone or not host.startswith("["):
        return address
    bare = bare_host(host).partition("%")[0]
    try:
        link_local = ipaddress.IPv6Address(bare).is_link_local
    except ValueError:
        return address  # Nobody can call it, which whoever tries says.
    return f"[{bare}%{zone}]:{port}" if link_local else address


def _response(question: Question) -> DNSOutgoing:
    if not question.unicast:
        return DNSOutgoing(_RESPONSE)
    # Whoever asks from a port of its own knows the answer by the question in it; go-micro looks at nothing else.
    out = DNSOutgoing(_RESPONSE, multicast=False, id_=question.id)
    out.add_question(DNSQuestion(question.name, question.type, _IN))
    return out


# The text of a node


def _shorter(endpoints: tuple[EndpointInfo, ...]) -> Iterator[tuple[EndpointInfo, ...]]:
    """Gives less and less of what a node says of its methods: all, without their messages, nothing."""
    yield endpoints
    if endpoints:
        yield tuple([EndpointInfo(endpoint.name, metadata=endpoint.metadata) for endpoint in endpoints])
        yield ()


def _text(name: str, node: Node, ip: str, stamp: Stamp, endpoints: tuple[EndpointInfo, ...]) -> bytes:
    added = {_LEASE: f"{stamp[0]}-{stamp[1]}"}
    if label_of(node.id, MAX_ID) != node.id:
        added[_ID] = node.id
    if join(ip, int(node.address.rpartition(":")[2])) != node.address:
        added[_ADDRESS] = node.address
    version = node.version
    if not version:
        # The watchers of go-micro pass over a node without a version; this is what it calls one that has none.
        version = "latest"
        added[_VERSION] = ""
    metadata = {**metadata_of(node, "mdns"), **added}
    metadata[ADDED] = " ".join([metadata[ADDED], *added])
    packed = deflate(
        json_of(
            {
                "Metadata": metadata,
                "Service": name,
                "Version": version,
                "Endpoints": endpoints_json(endpoints),
            }
        )
    ).encode()
    chunks = [packed[start : start + 255] for start in range(0, len(packed), 255)]
    return b"".join(bytes([len(chunk)]) + chunk for chunk in chunks)


def _unpack(text: bytes) -> dict[str, Any]:
    chunks: list[bytes] = []
    at = 0
    while at < len(text):
        chunks.append(text[at + 1 : at + 1 + text[at]])
        at += 1 + text[at]
    fields = read_json(inflate(b"".join(chunks).decode()))
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    return cast("dict[str, Any]", fields)


def _texts(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("metadata that is not an object")
    return {str(key): str(text) for key, text in cast("dict[object, object]", value).items()}


def _stamp_of(text: str) -> Stamp:
    number, _, rest = text.partition("-")
    counted = whole(number)
    return NO_STAMP if counted is None else (counted, rest)
