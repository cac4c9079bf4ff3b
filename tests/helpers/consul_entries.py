"""Entries as Consul's ``/v1/health/service/NAME`` lists them."""

from __future__ import annotations

from typing import Any

from micro_rt.go_micro.nodes import encode_tags

__all__ = ["entry", "service"]


def service(id: str = "good", **fields: Any) -> dict[str, Any]:
    """Returns a service that go-micro could have registered; fields replace what it has."""
    return {
        "ID": id,
        "Address": "127.0.0.1",
        "Port": 7777,
        "Tags": encode_tags({}, (), ""),
        "Meta": {},
        "ModifyIndex": 7,
        "Kind": "",
        **fields,
    }


def entry(service: Any, **fields: Any) -> dict[str, Any]:
    """Returns the entry of a service; fields replace what it has."""
    return {"Node": {"Node": "agent", "Address": "10.0.0.1"}, "Service": service, "Checks": [], **fields}
