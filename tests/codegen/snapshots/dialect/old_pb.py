"""Messages of old.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from micro_rt.dialects import betterproto as _betterproto

__all__ = ["Record"]


@_betterproto.message("old.Record")
class Record(_betterproto.Message):
    number: int | None = _betterproto.field(1, "int32", optional=True)
    numbers: list[int] = _betterproto.field(2, "int32", repeated=True)
    packed: list[int] = _betterproto.field(3, "int32", repeated=True)
    inside: Record = _betterproto.field(4, "message", lambda: Record)
