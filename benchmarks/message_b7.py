"""The messages of ``protos/messages.proto`` as betterproto 2.0.0b7's plugin writes them, which needs another environment."""
# ruff: noqa: RUF009

from __future__ import annotations

from dataclasses import dataclass

import betterproto


class State(betterproto.Enum):
    UNKNOWN = 0
    OPEN = 1
    ACTIVE = 2


@dataclass(eq=False, repr=False)
class Small(betterproto.Message):
    name: str = betterproto.string_field(1)
    id: int = betterproto.int32_field(2)
    active: bool = betterproto.bool_field(3)


@dataclass(eq=False, repr=False)
class Reply(betterproto.Message):
    id: str = betterproto.string_field(1)
    title: str = betterproto.string_field(2)
    description: str = betterproto.string_field(3)
    created: int = betterproto.int64_field(4)
    revision: int = betterproto.int32_field(5)
    state: State = betterproto.enum_field(6)
    digest: bytes = betterproto.bytes_field(7)
    note: str | None = betterproto.string_field(8, optional=True)
    score: float = betterproto.double_field(9)
    active: bool = betterproto.bool_field(10)
    items: list[Item] = betterproto.message_field(11)
    labels: dict[str, str] = betterproto.map_field(12, betterproto.TYPE_STRING, betterproto.TYPE_STRING)
    counts: list[int] = betterproto.int32_field(13)
    owner: Owner = betterproto.message_field(14)


@dataclass(eq=False, repr=False)
class Item(betterproto.Message):
    id: int = betterproto.int64_field(1)
    name: str = betterproto.string_field(2)
    price: float = betterproto.double_field(3)
    quantity: int = betterproto.uint32_field(4)
    tags: list[str] = betterproto.string_field(5)
    sizes: list[int] = betterproto.int32_field(6)


@dataclass(eq=False, repr=False)
class Owner(betterproto.Message):
    name: str = betterproto.string_field(1)
    email: str = betterproto.string_field(2)
    id: int = betterproto.int64_field(3)
