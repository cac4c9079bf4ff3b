"""What users keep of a place: the cursor of a page, the position of a watch. Both are texts that may come back from anywhere.

Both are opaque: base64 of JSON, bounded before it is read, checked afterwards. A cursor holds the prefix and the suffix that it
belongs to, so that it cannot be used for others by mistake.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, cast

from micro_rt.errors import InvalidArgument
from micro_rt.kit.foreign import MOST, read_json
from micro_rt.store.base import Cursor
from micro_rt.store.checks import check_text

__all__ = ["page_cursor", "position_of", "read_page_cursor", "read_position"]

_LONGEST = 32 << 10
"""Characters that a cursor or a position has at most: a prefix, a suffix and a key, six characters for each byte, in base64."""
_NUMBERS = 4
"""Numbers that a position has at most."""
_EPOCH = 64
"""Characters of an epoch at most."""


def page_cursor(prefix: str, suffix: str, after: str) -> str:
    """Returns the cursor of the page that begins behind a key."""
    return _encoded([prefix, suffix, after])


def read_page_cursor(cursor: str, prefix: str, suffix: str) -> str:
    """Returns the key behind which a page begins.

    Raises:
        InvalidArgument: it is no cursor of a page of this prefix and suffix.
    """
    match _decoded(cursor, "cursor"):
        case [str() as its_prefix, str() as its_suffix, str() as after] if after.startswith(its_prefix):
            if (its_prefix, its_suffix) != (prefix, suffix):
                raise InvalidArgument(
                    "the cursor belongs to a page of another prefix or suffix: pass the same ones again"
                )
            check_text(after, "cursor")
            return after
        case _:
            raise InvalidArgument("the cursor is not one that a page has returned")


def position_of(cursor: Cursor) -> str:
    """Returns the text of a place among the changes."""
    return _encoded([cursor.epoch, *cursor.position])


def read_position(position: str) -> Cursor:
    """Returns the place that a text stands for.

    Raises:
        InvalidArgument: it is not the position of a change.
    """
    match _decoded(position, "position"):
        case [str() as epoch, *numbers] if (
            epoch.isascii()
            and len(epoch) <= _EPOCH
            and 0 < len(numbers) <= _NUMBERS
            and all(type(number) is int and 0 <= number <= MOST for number in numbers)
        ):
            return Cursor(epoch, tuple(cast("list[int]", numbers)))
        case _:
            raise InvalidArgument("since= is not the position of a change that a watch has delivered")


def _encoded(parts: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def _decoded(text: object, what: str) -> Any:
    if not isinstance(text, str):
        raise TypeError(f"a {what} is a str, not {type(text).__name__}")
    if len(text) > _LONGEST or not text.isascii():
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return read_json(data)
    except (binascii.Error, ValueError):
        return None
