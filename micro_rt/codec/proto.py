"""Protobuf's binary encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError, Message

from micro_rt.codec.base import Codec

__all__ = ["ProtoCodec"]


class ProtoCodec(Codec):
    """Protobuf's binary encoding, by the official runtime."""

    content_subtype = "proto"

    def encoder(self, message_type: type[Message]) -> Callable[[Message], bytes]:
        """Returns the message class's own encoder."""
        return message_type.SerializeToString

    def decoder(self, message_type: type[Message]) -> Callable[[bytes], Any]:
        """Returns a decoder that raises ``ValueError`` for damaged bytes."""
        parse = message_type.FromString

        def decode(data: bytes) -> Message:
            try:
                return parse(data)
            except DecodeError as error:
                raise ValueError(f"not a valid {message_type.DESCRIPTOR.full_name}: {error}") from None

        return decode
