"""What has changed between two schemas, and what that breaks for whom."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DELIVERY", "JSON", "ORDER", "WIRE", "Finding"]

WIRE, JSON, DELIVERY, ORDER = "wire", "JSON", "delivery", "order"
"""What can break: protobuf's binary encoding, its JSON, whether records reach their consumers, and their order."""


class Finding(NamedTuple):
    """One change.

    Attributes:
        path: the .proto file, as protoc names it.
        line: the line in it, in the new schema; in the old one where the new has it no more. 0 when unknown.
        symbol: full name of what has changed, ``"orders.OrderPlaced.total_cents"``.
        message: what has changed.
        old_consumers: what breaks for consumers with the old schema that read new records: ``"wire"``, ``"JSON"``,
            ``"delivery"``, ``"order"``.
        new_consumers: what breaks for consumers with the new schema that read old records.
    """

    path: str
    line: int
    symbol: str
    message: str
    old_consumers: tuple[str, ...] = ()
    new_consumers: tuple[str, ...] = ()

    @property
    def breaks(self) -> bool:
        """Whether anything breaks, for anybody."""
        return bool(self.old_consumers or self.new_consumers)

    @property
    def effect(self) -> str:
        """What breaks and for whom, in words."""
        if not self.breaks:
            return "breaks nothing"
        if self.old_consumers == self.new_consumers:
            return f"breaks {' and '.join(self.old_consumers)}"
        parts = [
            f"breaks {' and '.join(broken)} for consumers with the {whose} schema"
            for broken, whose in ((self.old_consumers, "old"), (self.new_consumers, "new"))
            if broken
        ]
        return " and ".join(parts)

    def __str__(self) -> str:
        """Returns one line in the form of a compiler."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.symbol}: {self.message}: {self.effect}"

    def without_json(self) -> Finding:
        """Returns the finding for consumers that never read JSON."""
        old, new = (
            tuple(what for what in broken if what != JSON) for broken in (self.old_consumers, self.new_consumers)
        )
        return self._replace(old_consumers=old, new_consumers=new)
