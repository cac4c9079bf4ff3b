"""Messages of twin.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from datetime import datetime, timedelta

from micro_rt.dialects import betterproto as _betterproto

__all__ = ["Leaf", "Mood", "Nothing", "Tree"]


class Mood(_betterproto.Enum):
    CALM = 0
    GLAD = 1

    __proto_names__ = {"MOOD_CALM": 0, "MOOD_GLAD": 1}


@_betterproto.message("twin.Leaf")
class Leaf(_betterproto.Message):
    name: str = _betterproto.field(1, "string")
    size: int = _betterproto.field(2, "int32")


@_betterproto.message("twin.Nothing")
class Nothing(_betterproto.Message):
    pass


@_betterproto.message("twin.Tree")
class Tree(_betterproto.Message):
    name: str = _betterproto.field(1, "string")
    count: int = _betterproto.field(2, "int64")
    leaf: Leaf = _betterproto.field(3, "message", lambda: Leaf)
    leaves: list[Leaf] = _betterproto.field(4, "message", lambda: Leaf, repeated=True)
    named: dict[str, Leaf] = _betterproto.field(5, "message", lambda: Leaf, key="string")
    texts: dict[int, str] = _betterproto.field(6, "string", key="int32")
    maybe: int | None = _betterproto.field(7, "int32", optional=True)
    mood: Mood = _betterproto.field(8, "enum", lambda: Mood)
    text: str = _betterproto.field(9, "string", group="pick")
    picked: Leaf = _betterproto.field(10, "message", lambda: Leaf, group="pick")
    number: int = _betterproto.field(11, "int32", group="pick")
    moment: datetime = _betterproto.field(12, "timestamp")
    span: timedelta = _betterproto.field(13, "duration")
    wrapped: int | None = _betterproto.field(14, "wrapper", wraps="int32")
    sizes: list[int] = _betterproto.field(15, "int32", repeated=True)
    data: bytes = _betterproto.field(16, "bytes")
    ratio: float = _betterproto.field(17, "double")
    nothing: Nothing = _betterproto.field(18, "message", lambda: Nothing)
    flag: bool = _betterproto.field(19, "bool")
