"""How go-micro's registries write a node down: metadata, tags and JSON; for the backends that share a registry with it.

Read from go-micro v5 (https://github.com/micro/go-micro/tree/v5.8.0/registry: ``registry.go``, ``consul/encoding.go``,
``etcd/etcd.go``, ``mdns_registry.go``). What a node of ours has and a node of go-micro's has not travels in metadata whose
keys begin with ``micro-``, which go-micro carries along.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, cast

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.foreign import read_json
from micro_rt.node import EndpointInfo, Node, ValueInfo

__all__ = [
    "decode_node",
    "decode_service",
    "decode_tags",
    "deflate",
    "encode_service",
    "encode_tags",
    "endpoints_json",
    "decode_endpoints",
    "inflate",
    "json_of",
    "metadata_of",
]

_UNIX = "unix:"
"""What the address of a Unix socket begins with."""

ADDED = "micro-added"
"""Which keys of the metadata the node itself does not have."""
SERVICES = "micro-services"
TRANSPORT = "micro-transport"

MAX_INFLATED = 1 << 20
"""Bytes; a tag that becomes longer is none."""
MAX_DEPTH = 16
"""Messages within messages; what is deeper is left out. go-micro describes three, and comparing is recursive."""


def metadata_of(node: Node, registry: str) -> dict[str, str]:
    """Returns a node's metadata as go-micro expects it, with what it has no place for.

    Args:
        node: the node.
        registry: what go-micro calls this registry: ``"consul"``, ``"etcd"``, ``"mdns"``.
    """
    added = {
        "broker": "http",
        "protocol": node.transport,
        "registry": registry,
        "server": node.transport,
        "transport": node.transport,
        SERVICES: " ".join(sorted(node.services)),
        TRANSPORT: node.transport,
    }
    added = {key: value for key, value in added.items() if key not in node.metadata}
    return {**node.metadata, **added, ADDED: " ".join(added)}


def decode_node(
    id: str, address: str, version: str, metadata: Mapping[str, str], endpoints: tuple[EndpointInfo, ...]
) -> Node:
    """Returns the node that was written down, whoever wrote it.

    A node of go-micro's keeps all of its metadata, and does not say what it serves: its endpoints lack the packages.

    Raises:
        ValueError: its address is a Unix socket. It is read from other machines, which could have a client here connect to
            any socket of this one.
    """
    if address.startswith(_UNIX):
        raise ValueError("the address of a Unix socket, which leads nowhere from another machine")
    added = metadata.get(ADDED)
    if added is None:
        return Node(id, address, metadata.get("protocol", "grpc"), version, frozenset(), dict(metadata), endpoints)
    hidden = {*added.split(" "), ADDED}
    return Node(
        id,
        address,
        metadata.get(TRANSPORT, "grpc"),
        version,
        frozenset(metadata.get(SERVICES, "").split()),
        {key: value for key, value in metadata.items() if key not in hidden},
        endpoints,
    )


# Consul: tags


def encode_tags(metadata: Mapping[str, str], endpoints: Iterable[EndpointInfo], version: str) -> list[str]:
    """Returns the tags of a Consul service: ``t-`` for each key of the metadata, ``e-`` for each endpoint, ``v-``."""
    return [
        *("t-" + deflate(json_of({key: value})) for key, value in metadata.items()),
        *("e-" + deflate(json_of(_endpoint(endpoint))) for endpoint in endpoints),
        "v-" + deflate(version),
    ]


def decode_tags(tags: Iterable[str]) -> tuple[dict[str, str], tuple[EndpointInfo, ...], str | None]:
    """Returns what tags say: metadata, endpoints and version; None if no tag says the version.

    Tags of other uses, and those that cannot be read, say nothing. The old form, ``t=`` and plain text, is read too.
    """
    metadata: dict[str, str] = {}
    endpoints: list[EndpointInfo] = []
    version: str | None = None
    for tag in tags:
        if tag[1:2] not in ("-", "=") or tag[:1] not in ("t", "e", "v"):
            continue
        try:
            if tag[0] == "e":
                endpoints.append(_endpoint_of_tag(tag))
                continue
            text = inflate(tag[2:]) if tag[1] == "-" else tag[2:]
            if tag[0] == "v":
                version = text if version is None else version
            else:
                metadata.update(_texts(read_json(text)))
        except Exception:  # noqa: S112  # whoever may register may write any tag: one that cannot be read says nothing
            continue
    return metadata, tuple(endpoints), version


def deflate(text: str) -> str:
    """Returns text as go-micro packs it: zlib, in hexadecimal."""
    return zlib.compress(text.encode()).hex()


def inflate(packed: str) -> str:
    """Returns the text that was packed.

    Raises:
        ValueError: it is not hexadecimal, not zlib, or not UTF-8.
    """
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(bytes.fromhex(packed), MAX_INFLATED)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not unpacker.eof:
        raise ValueError("cut short, or too long")
    return data.decode()


# etcd: one service with one node as JSON


def encode_service(name: str, node: Node, registry: str) -> str:
    """Returns the JSON of a ``registry.Service`` that has one node.

    Raises:
        FailedPrecondition: the node is at a Unix socket, which other machines cannot reach.
    """
    if node.address.startswith(_UNIX):
        raise FailedPrecondition(
            f"{node.address} cannot be listed where other machines look it up: listen on host:port, or use a registry of this "
            "machine alone, such as local:"
        )
    return json_of(
        {
            "name": name,
            "version": node.version,
            "metadata": {},
            "endpoints": endpoints_json(node.endpoints),
            "nodes": [{"metadata": metadata_of(node, registry), "id": node.id, "address": node.address}],
        }
    )


def decode_service(text: str) -> list[Node]:
    """Returns the nodes in the JSON of a ``registry.Service``.

    Raises:
        ValueError: it is no such JSON.
    """
    service = read_json(text)
    if not isinstance(service, dict):
        raise ValueError("not a JSON object")
    fields = cast("dict[str, Any]", service)
    nodes: list[dict[str, Any]] = fields.get("nodes") or []
    try:
        endpoints = decode_endpoints(fields.get("endpoints"))
        return [
            decode_node(
                str(node["id"]),
                str(node["address"]),
                str(fields.get("version") or ""),
                _texts(node.get("metadata") or {}),
                endpoints,
            )
            for node in nodes
        ]
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a service of go-micro's: {error!r}") from None


# Endpoints


def decode_endpoints(endpoints: object) -> tuple[EndpointInfo, ...]:
    """Returns endpoints from their JSON, a list or null.

    Raises:
        ValueError: it is something else.
    """
    if not endpoints:
        return ()
    if not isinstance(endpoints, list):
        raise ValueError("endpoints that are not a list")
    return tuple([_endpoint_of(endpoint) for endpoint in cast("list[object]", endpoints)])


def endpoints_json(endpoints: Iterable[EndpointInfo]) -> list[dict[str, Any]]:
    """Returns endpoints as what becomes their JSON."""
    return [_endpoint(endpoint) for endpoint in endpoints]


def _endpoint_of(value: object) -> EndpointInfo:
    if not isinstance(value, dict):
        raise ValueError("an endpoint that is not an object")
    fields = cast("dict[str, Any]", value)
    return EndpointInfo(
        str(fields.get("name", "")),
        _value_of(fields.get("request")),
        _value_of(fields.get("response")),
        _texts(fields.get("metadata") or {}),
    )


@lru_cache(4096)
def _endpoint_of_tag(tag: str) -> EndpointInfo:
    # All nodes of a service have the same ones.
    return _endpoint_of(read_json(inflate(tag[2:]) if tag[1] == "-" else tag[2:]))


def _endpoint(endpoint: EndpointInfo) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "request": _value(endpoint.request),
        "response": _value(endpoint.response),
        "metadata": dict(endpoint.metadata),
    }


def _value(value: ValueInfo | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {
        "name": value.name,
        "type": value.type,
        "values": [_value(each) for each in value.values] if value.values else None,
    }


def _value_of(value: object, depth: int = 0) -> ValueInfo | None:
    if not isinstance(value, dict) or depth > MAX_DEPTH:
        return None
    fields = cast("dict[str, Any]", value)
    values: object = fields.get("values") or []
    if not isinstance(values, list):
        raise ValueError("the values of an endpoint are not a list")
    inner = [_value_of(each, depth + 1) for each in cast("list[object]", values)]
    return ValueInfo(
        str(fields.get("name", "")), str(fields.get("type", "")), tuple([each for each in inner if each is not None])
    )


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("metadata that is not an object")
    return {str(key): str(text) for key, text in cast("dict[object, object]", value).items()}


def json_of(value: object) -> str:
    """Returns JSON as Go writes it: without spaces, not only ASCII."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
