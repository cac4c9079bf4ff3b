"""Messages of editions.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

from micro_rt.dialects import betterproto as _betterproto

if TYPE_CHECKING:
    from till.money_pb import *  # pyright: ignore[reportMissingImports]
    from .till.money_pb import *
elif __package__:
    from .till.money_pb import Money, MoneyCurrency
else:
    from till.money_pb import Money, MoneyCurrency

__all__ = ["Money", "MoneyCurrency", "Settings"]


@_betterproto.message("editions.Settings")
class Settings(_betterproto.Message):
    plain: str = _betterproto.field(1, "string")
    known: str | None = _betterproto.field(2, "string", optional=True)
    expanded: list[int] = _betterproto.field(3, "int32", repeated=True)
    packed: list[int] = _betterproto.field(4, "int32", repeated=True)
    money: Money = _betterproto.field(5, "message", lambda: Money)
