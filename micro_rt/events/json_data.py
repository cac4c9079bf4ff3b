"""Events whose data is the JSON of the message (https://protobuf.dev/programming-guides/json/)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import json_format

__all__ = ["json_decoder"]


def json_decoder(message_type: type[Any]) -> Callable[[bytes], Any]:
    """Returns the function that reads messages of one type from JSON; fields that it does not know are passed over.

    The function raises ``ValueError`` for what is not the JSON of such a message.
    """
    own = getattr(message_type, "DESCRIPTOR", None) is None  # of a dialect that reads its JSON itself

    def decode(data: bytes) -> Any:
        try:
            if own:
                return message_type().from_json(data, ignore_unknown_fields=True)
            return json_format.Parse(data, message_type(), ignore_unknown_fields=True)
        except (json_format.ParseError, ValueError, TypeError) as error:
            raise ValueError(f"not the JSON of a {message_type.__name__}: {error}") from None

    return decode
