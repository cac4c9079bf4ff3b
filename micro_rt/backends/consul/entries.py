"""How a node is written into Consul and read from it: as go-micro does it, and as others do."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote

from micro_rt.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from micro_rt.go_micro.nodes import decode_node, decode_tags, encode_tags, metadata_of
from micro_rt.kit.net import bracketed, split
from micro_rt.node import Node
from micro_rt.registry.unreadable import Unreadable, checked

__all__ = [
    "LEASE",
    "NODE",
    "EntryReader",
    "check_visible",
    "go_duration",
    "has_check",
    "host_of",
    "literal",
    "one_of",
    "path_of",
    "service_of",
]

NODE = "micro-id"
"""Key in Meta: the node's id, which the ids of its services in Consul are made from."""
LEASE = "micro-lease"
"""Key in Meta: which lease registered it."""

_MAX_META = 60  # Consul takes 64 pairs.
_REMEMBERED = 10_000


def service_of(node: Node, name: str, id: str, lease: str) -> dict[str, Any]:
    """Returns what registers a node under a name, without its check.

    Args:
        node: the node.
        name: the name.
        id: of the service in Consul.
        lease: the lease's token.

    Raises:
        InvalidArgument: the node's address is not one that Consul can hold.
    """
    try:
        host, port = split(node.address)
    except FailedPrecondition:
        problem = f"node {node.id} has the address {node.address!r}: Consul lists a host and a port"
        raise InvalidArgument(problem) from None
    if len(node.id.encode()) > 512:
        raise InvalidArgument(f"the node's id is longer than the 512 bytes that Consul takes: {node.id[:40]}...")
    metadata = metadata_of(node, "consul")
    return {
        "ID": id,
        "Name": name,
        "Address": host,
        "Port": port,
        "Tags": encode_tags(metadata, node.endpoints, node.version),
        # go-micro reads the tags and others read this, which takes short texts only.
        "Meta": {**_for_meta(metadata), NODE: node.id, LEASE: lease},
    }


class EntryReader:
    """Reads the answers of ``/v1/health/service/NAME``; remembers what it has read, since most of it comes again."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[Any, ...], Node] = {}
        self._unreadable = Unreadable()

    def nodes(self, entries: Iterable[Mapping[str, Any]]) -> tuple[Node, ...]:
        """Returns the nodes that no check calls critical, in the order of their ids; leaves out what cannot be read."""
        newest: dict[str, Node] = {}
        for entry in entries:
            try:
                node = self._node_of(entry)
            except Exception as error:
                self._unreadable.note(f"the entry {_name_of(entry)} in Consul", error)
                continue
            if node is None:
                continue
            # A process that moved to another agent is listed by both for a while.
            if node.id not in newest or newest[node.id].registered < node.registered:
                newest[node.id] = node
        return tuple([newest[id] for id in sorted(newest)])

    def _node_of(self, entry: Mapping[str, Any]) -> Node | None:
        service = entry["Service"]
        if any(check["Status"] == "critical" for check in entry["Checks"]):
            return None
        if not service.get("Port") or service.get("Kind"):
            return None  # What has no port, and proxies and gateways of Consul's, cannot be called.
        return self._node(service, entry["Node"]["Address"])

    def _node(self, service: Mapping[str, Any], agent: str) -> Node:
        meta: dict[str, str] = service["Meta"] or {}
        tags: list[str] = service["Tags"] or []
        address = service["Address"] or agent
        # All that it is made from, so that nothing that changes is missed.
        index = int(service["ModifyIndex"])
        key = (service["ID"], address, service["Port"], tuple(tags), tuple(meta.items()), index)
        node = self._nodes.get(key)
        if node is None:
            if len(self._nodes) >= _REMEMBERED:
                self._nodes.clear()
            node = _decode(service["ID"], f"{bracketed(address)}:{service['Port']}", tags, meta)
            node = self._nodes[key] = checked(dataclasses.replace(node, registered=index))
        return node


def host_of(entry: Any) -> str:
    """Returns the agent that lists an entry; empty if the entry does not say."""
    try:
        return str(entry["Node"]["Node"])
    except Exception:
        return ""


def has_check(entry: Any) -> bool:
    """Returns whether an entry has a check of its own; False if that cannot be read."""
    try:
        return any(check["ServiceID"] for check in entry["Checks"])
    except Exception:
        return False


def _name_of(entry: object) -> str:
    """Returns what the log calls an entry."""
    try:
        return repr(cast("Any", entry)["Service"]["ID"])[:200]
    except Exception:
        return "without an id"


def literal(text: str) -> str:
    """Returns text as a string in a filter; Consul's strings are Go's, but for quotes, which they cannot escape."""
    return json.dumps(text, ensure_ascii=False).replace('\\"', "\\x22")


def one_of(selector: str, texts: Iterable[str]) -> str:
    """Returns a filter for what has one of several texts there; Consul's filters know lists only the other way round."""
    # Go's regular expressions take what Python escapes.
    pattern = "|".join(re.escape(text) for text in sorted(texts))
    return f"{selector} matches {literal(f'^(?:{pattern})$')}"


def path_of(name: str) -> str:
    """Returns where the nodes of a name are read."""
    return f"/v1/health/service/{quote(name, safe='')}"


def check_visible(name: str, data: object, filtered: bool) -> None:
    """Does not let "nobody serves this" stand for "you may not know".

    Args:
        name: what was asked for.
        data: the answer.
        filtered: whether Consul left something out.

    Raises:
        PermissionDenied: the token may see no node of it.
    """
    if filtered and not data:
        raise PermissionDenied(
            f'Consul hides the nodes of {name!r} from this token: it needs node:read, and service:read on "{name}"'
        )


def go_duration(seconds: float) -> str:
    """Returns a duration as Consul reads it."""
    return f"{max(1, round(seconds * 1000))}ms"


def _decode(id: str, address: str, tags: list[str], meta: dict[str, str]) -> Node:
    metadata, endpoints, version = decode_tags(tags)
    if not metadata:
        # Registered by something that is neither micro-rt nor go-micro.
        metadata = {key: value for key, value in meta.items() if key not in (NODE, LEASE)}
    if version is None:
        version = meta.get("version", "")
    return decode_node(meta.get(NODE, id), address, version, metadata, endpoints)


def _for_meta(metadata: Mapping[str, str]) -> dict[str, str]:
    fitting = {
        key: value
        for key, value in metadata.items()
        if re.fullmatch(r"[A-Za-z0-9_-]{1,128}", key)
        and not key.startswith("consul-")
        and len(value.encode()) <= 512
        and value.isprintable()
    }
    return dict(list(fitting.items())[:_MAX_META])
