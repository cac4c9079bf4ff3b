"""Messages that are ``bytes`` already: calls without generated classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from micro_rt.codec.base import Codec

__all__ = ["BytesCodec", "as_it_is"]


def as_it_is(data: bytes) -> bytes:
    """Returns a message that is encoded already."""
    return data


class BytesCodec(Codec):
    """Messages that are ``bytes``, and mean what both sides have agreed on. It encodes no other messages.

    The codecs ``proto`` and ``json`` take ``bytes`` too: then they are a message that is encoded already.
    """

    content_subtype = "bytes"

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        """Returns a function that changes nothing."""
        return _for(message_type)

    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]:
        """Returns a function that changes nothing."""
        return _for(message_type)


def _for(message_type: type[Any]) -> Callable[[Any], bytes]:
    if message_type is not bytes:
        raise TypeError(f"{message_type.__name__} is not bytes: call it in proto or json")
    return as_it_is
