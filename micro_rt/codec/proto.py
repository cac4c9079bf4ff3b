"""Protobuf's binary encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from micro_rt.codec.base import Codec
from micro_rt.codec.raw import as_it_is

__all__ = ["ProtoCodec"]


class ProtoCodec(Codec):
    """Protobuf's binary encoding, by the message classes themselves, of whichever dialect they are.

    A message that is ``bytes`` is encoded already.
    """

    content_subtype = "proto"

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        """Returns the message class's own encoder."""
        if message_type is bytes:
            return as_it_is
        encode: Callable[[Any], bytes] = message_type.SerializeToString
        return encode

    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]:
        """Returns a decoder that raises ``ValueError`` for damaged bytes."""
        if message_type is bytes:
            return as_it_is
        parse: Callable[[bytes], Any] = message_type.FromString
        descriptor = getattr(message_type, "DESCRIPTOR", None)
        # Classes of other dialects raise whatever went wrong in their Python code.
        damaged: type[Exception] = Exception if descriptor is None else DecodeError
        name = message_type.__name__ if descriptor is None else descriptor.full_name

        def decode(data: bytes) -> Any:
            try:
                return parse(data)
            except damaged as error:
                raise ValueError(f"not a valid {name}: {error}") from None

        return decode
