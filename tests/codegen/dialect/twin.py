"""``twin.proto`` as betterproto 2.0.0b7's own plugin writes it; it needs an environment of its own to run."""
# ruff: noqa: RUF009

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import betterproto


class Mood(betterproto.Enum):
    CALM = 0
    GLAD = 1


@dataclass(eq=False, repr=False)
class Leaf(betterproto.Message):
    name: str = betterproto.string_field(1)
    size: int = betterproto.int32_field(2)


@dataclass(eq=False, repr=False)
class Nothing(betterproto.Message):
    pass


@dataclass(eq=False, repr=False)
class Tree(betterproto.Message):
    name: str = betterproto.string_field(1)
    count: int = betterproto.int64_field(2)
    leaf: Leaf = betterproto.message_field(3)
    leaves: list[Leaf] = betterproto.message_field(4)
    named: dict[str, Leaf] = betterproto.map_field(5, betterproto.TYPE_STRING, betterproto.TYPE_MESSAGE)
    texts: dict[int, str] = betterproto.map_field(6, betterproto.TYPE_INT32, betterproto.TYPE_STRING)
    maybe: int | None = betterproto.int32_field(7, optional=True)
    mood: Mood = betterproto.enum_field(8)
    text: str = betterproto.string_field(9, group="pick")
    picked: Leaf = betterproto.message_field(10, group="pick")
    number: int = betterproto.int32_field(11, group="pick")
    moment: datetime = betterproto.message_field(12)
    span: timedelta = betterproto.message_field(13)
    wrapped: int | None = betterproto.message_field(14, wraps=betterproto.TYPE_INT32)
    sizes: list[int] = betterproto.int32_field(15)
    data: bytes = betterproto.bytes_field(16)
    ratio: float = betterproto.double_field(17)
    nothing: Nothing = betterproto.message_field(18)
    flag: bool = betterproto.bool_field(19)
