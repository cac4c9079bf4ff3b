"""Events as records: CloudEvents 1.0 in Kafka's binary mode; structured mode and go-micro's envelope on input as well.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md, and ``broker.Message`` of
go-micro, ``{"Header": {…}, "Body": "<base64>"}``.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from micro_rt.broker.base import Headers, Record

__all__ = ["JSON", "PROTOBUF", "Envelope", "open_envelope", "seal", "seal_for_go_micro", "usual_type"]

PROTOBUF = "application/protobuf"
JSON = "application/json"
STRUCTURED = "application/cloudevents+json"

_SPEC_VERSION = ("ce_specversion", b"1.0")
_OURS = 6
"""How many headers ``seal`` writes."""
_CONTENT_TYPE = ("content-type", PROTOBUF.encode())
_ATTRIBUTES = ("id", "source", "specversion", "time", "type")
_JSON_TYPES = ("application/json", "text/json")


class Envelope(NamedTuple):
    """What surrounds an event."""

    type: str
    """Full proto name; empty if the record does not say."""
    content_type: str
    """Of the data: JSON, or else protobuf."""
    data: bytes
    headers: Mapping[str, bytes]
    """By lower-case name, the last value of a name; with ``ce_id``, ``ce_source`` and ``ce_time`` wherever they were."""

    @property
    def is_json(self) -> bool:
        """Whether the data is the JSON of the message, not its binary form."""
        return self.content_type in _JSON_TYPES

    def text(self, name: str) -> str:
        """Returns a header as text; empty if there is none."""
        return self.headers.get(name, b"").decode(errors="replace")


def seal(type: str, id: str, source: bytes, time: float, headers: Headers) -> Headers:
    """Returns the headers of a record in binary mode; its value is the encoded message.

    Args:
        type: full proto name of the message.
        id: unique for the source.
        source: who publishes.
        time: seconds since 1970.
        headers: others.
    """
    return (
        _SPEC_VERSION,
        ("ce_type", type.encode()),
        ("ce_id", id.encode()),
        ("ce_source", source),
        ("ce_time", _rfc3339(time).encode()),
        _CONTENT_TYPE,
        *headers,
    )


def seal_for_go_micro(headers: Headers, data: bytes, topic: str) -> bytes:
    """Returns the value of a record in go-micro's envelope; all headers are in it.

    Args:
        headers: of the record in binary mode.
        data: the encoded message.
        topic: where it is published.
    """
    texts = {name: value.decode(errors="replace") for name, value in headers if name != "content-type"}
    header = {"Content-Type": PROTOBUF, "Micro-Topic": topic, **texts}
    return json.dumps({"Header": header, "Body": b64encode(data).decode()}, separators=(",", ":")).encode()


def usual_type(record: Record) -> bytes | None:
    """Returns the type of a record that is as micro-rt itself writes it, and asks for nothing special; None of any other.

    It is what nearly every record is, and costs a fraction of ``open_envelope``.
    """
    headers = record.headers
    if len(headers) < _OURS or headers[1][0] != "ce_type" or headers[_OURS - 1] != _CONTENT_TYPE:
        return None
    for name, _ in headers[_OURS:]:
        if name.startswith("micro-"):
            return None
    return headers[1][1]


def open_envelope(record: Record) -> Envelope:
    """Returns what a record holds, in whichever envelope it is.

    Raises:
        ValueError: its envelope cannot be read; the message says why.
    """
    headers = dict(record.headers)
    type = headers.get("ce_type")
    if type is not None:  # binary mode, as nearly every record is
        content_type = headers.get("content-type", b"")
        plain = PROTOBUF if content_type == _CONTENT_TYPE[1] else _plain(content_type.decode(errors="replace"))
        return Envelope(type.decode(errors="replace"), plain, record.value, headers)
    headers = {name.lower(): value for name, value in record.headers}
    plain = _plain(headers.get("content-type", b"").decode(errors="replace"))
    if plain == STRUCTURED:
        return _structured(record.value, headers)
    if record.value[:1] == b"{" and plain in ("", *_JSON_TYPES):
        told = _from_go_micro(record.value, headers)
        if told is not None:
            return told
    return Envelope("", plain, record.value, headers)


def _structured(value: bytes, headers: Mapping[str, bytes]) -> Envelope:
    try:
        parsed = json.loads(value)
    except ValueError as error:
        raise ValueError(f"its value is no JSON, which {STRUCTURED} is: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError(f"its value is no JSON object, which {STRUCTURED} is")
    fields = cast("dict[str, Any]", parsed)
    content_type = _plain(str(fields.get("datacontenttype") or JSON))
    if "data_base64" in fields:
        try:
            data = b64decode(fields["data_base64"], validate=True)
        except (TypeError, ValueError, Base64Error) as error:
            raise ValueError(f"its data_base64 is no base64: {error}") from None
    elif content_type in _JSON_TYPES:
        data = json.dumps(fields.get("data", {})).encode()
    elif isinstance(fields.get("data"), str):
        data = fields["data"].encode()
    else:
        raise ValueError(f"its data is JSON, and datacontenttype says {content_type}")
    attributes = {
        f"ce_{name}" if name in _ATTRIBUTES else name: str(value).encode()
        for name, value in fields.items()
        if name not in ("data", "data_base64", "datacontenttype") and value is not None
    }
    return Envelope(str(fields.get("type") or ""), content_type, data, {**headers, **attributes})


def _from_go_micro(value: bytes, headers: Mapping[str, bytes]) -> Envelope | None:
    try:
        parsed = json.loads(value)
    except ValueError:
        return None
    # Go matches names whatever their case, and its own plugin writes nothing else.
    fields = {name.lower(): field for name, field in cast("dict[str, Any]", parsed).items()}
    if (
        not isinstance(fields.get("header", {}), dict)
        or not fields.keys() <= {"header", "body"}
        or "body" not in fields
    ):
        return None
    inner = {
        str(name).lower(): str(text).encode() for name, text in cast("dict[str, Any]", fields.get("header", {})).items()
    }
    try:
        data = b64decode(fields["body"] or "", validate=True)
    except (TypeError, ValueError, Base64Error):
        return None
    content_type = _plain(inner.get("content-type", b"").decode(errors="replace"))
    type = inner.get("ce_type", b"").decode(errors="replace")
    return Envelope(type, content_type, data, {**headers, **inner})


def _plain(content_type: str) -> str:
    """The content type without parameters."""
    return content_type.partition(";")[0].strip().lower()


def _rfc3339(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
