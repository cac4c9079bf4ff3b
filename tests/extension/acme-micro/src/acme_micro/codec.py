"""Codec ``acme``: the JSON form of protobuf messages, in UTF-8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from micro_rt.codec.base import Codec

__all__ = ["AcmeCodec"]


class AcmeCodec(Codec):
    """Messages of the official protobuf runtime as JSON."""

    content_subtype = "acme"

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        """Returns a function that writes the JSON of a message."""
        self._check(message_type)

        def encode(message: Any) -> bytes:
            return json_format.MessageToJson(message, indent=None).encode()

        return encode

    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]:
        """Returns a function that reads the JSON of a message; it raises ``ValueError`` for anything else."""
        self._check(message_type)

        def decode(data: bytes) -> Any:
            try:
                return json_format.Parse(data.decode(), message_type())
            except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
                raise ValueError(f"not the JSON of a {message_type.__name__}: {error}") from None

        return decode

    def _check(self, message_type: type[Any]) -> None:
        if not issubclass(message_type, Message):
            raise TypeError(f"{message_type.__name__} has no descriptor, and codec acme needs one")
