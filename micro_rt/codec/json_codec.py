"""Protobuf's JSON mapping: https://protobuf.dev/programming-guides/json/."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf import json_format

from micro_rt.codec.base import Codec
from micro_rt.codec.raw import as_it_is
from micro_rt.kit.optional import optional

__all__ = ["JsonCodec"]

_COMPACT = (",", ":")


class JsonCodec(Codec):
    """Protobuf's JSON mapping, for messages of both dialects.

    The keys are those of the mapping, such as ``orderId``, and fields that are not set are left out. Reading takes the names of
    the .proto as well, and passes over fields that it does not know, as they may be of a newer version. A message that is
    ``bytes`` is JSON already.
    """

    content_subtype = "json"

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        """Returns a function that writes messages of one type as JSON in UTF-8, without blanks."""
        if message_type is bytes:
            return as_it_is
        to_value = (
            _official_writer(message_type) if _is_official(message_type) else _dialect(message_type).to_json_value
        )

        def encode(message: Any) -> bytes:
            return json.dumps(to_value(message), ensure_ascii=False, separators=_COMPACT).encode()

        return encode

    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]:
        """Returns a function that reads messages of one type; it raises ``ValueError`` for what is not the JSON of one."""
        if message_type is bytes:
            return as_it_is
        read = _read_official if _is_official(message_type) else _dialect(message_type).read_any

        def decode(data: bytes) -> Any:
            try:
                return read(message_type, data, True)
            except (json_format.ParseError, ValueError, TypeError) as error:
                raise ValueError(f"not the JSON of a {message_type.__name__}: {error}") from None

        return decode


def _is_official(message_type: type[Any]) -> bool:
    """Returns whether a class is one of protobuf's own runtime."""
    return getattr(message_type, "DESCRIPTOR", None) is not None


def _official_writer(message_type: type[Any]) -> Callable[[Any], Any]:
    """Returns what makes values of messages. What is in an ``Any`` is looked up in the pool that the class comes from."""
    return partial(json_format.MessageToDict, descriptor_pool=message_type.DESCRIPTOR.file.pool)


def _read_official(message_type: type[Any], data: bytes, ignore_unknown_fields: bool) -> Any:
    pool = message_type.DESCRIPTOR.file.pool
    return json_format.Parse(data, message_type(), ignore_unknown_fields=ignore_unknown_fields, descriptor_pool=pool)


def _dialect(message_type: type[Any]) -> Any:
    """Returns what reads and writes the JSON of the other dialect; its library is loaded only where its messages are used."""
    module = optional("micro_rt.dialects.proto_json") if hasattr(message_type, "FromString") else None
    if module is None:
        raise TypeError(f"{message_type.__name__} is not a message that has a JSON form")
    return module
