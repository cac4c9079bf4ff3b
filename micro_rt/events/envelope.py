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

from micro_rt.broker.base import UNREADABLE, Headers, Record
from micro_rt.kit.foreign import finite, read_json

__all__ = [
    "JSON",
    "PROTOBUF",
    "PUBLISHED_HEADER",
    "Envelope",
    "event_time",
    "moment",
    "open_envelope",
    "rfc3339",
    "seal",
    "seal_for_go_micro",
    "seal_tombstone",
    "seconds_of",
    "usual_type",
]

PUBLISHED_HEADER = "micro-published"
"""When a replayed record was published first, in seconds since 1970: its own timestamp is that of the replay."""

PROTOBUF = "application/protobuf"
JSON = "application/json"
STRUCTURED = "application/cloudevents+json"

_SPEC_VERSION = ("ce_specversion", b"1.0")
_OURS = 6
"""How many headers ``seal`` writes."""
_CONTENT_TYPE = ("content-type", PROTOBUF.encode())
_STRUCTURED = "application/cloudevents"
_REQUIRED = ("specversion", "id", "source", "type")
_TRACE = ("traceparent", "tracestate")
_FIRST_SECOND = -62_135_596_800.0  # of the year 1, as datetime counts
_LAST_SECOND = 253_402_300_799.0  # of the year 9999
_JSON_TYPES = ("application/json", "text/json")


class Envelope(NamedTuple):
    """What surrounds an event."""

    type: str
    """Full proto name; empty if the record does not say."""
    content_type: str
    """Of the data: JSON, or else protobuf."""
    data: bytes
    headers: Mapping[str, bytes]
    """By lower-case name, the last value of a name; with the attributes, as ``ce_id``, wherever they were."""

    @property
    def is_json(self) -> bool:
        """Whether the data is the JSON of the message, not its binary form."""
        return _is_json(self.content_type)

    def text(self, name: str) -> str:
        """Returns a header as text; empty if there is none."""
        return self.headers.get(name, b"").decode(errors="replace")


def seal(type: bytes, id: bytes, source: bytes, time: bytes, headers: Headers) -> Headers:
    """Returns the headers of a record in binary mode; its value is the encoded message.

    Args:
        type: full proto name of the message.
        id: unique for the source.
        source: who publishes.
        time: when, as ``rfc3339`` writes it.
        headers: others.
    """
    return (
        _SPEC_VERSION,
        ("ce_type", type),
        ("ce_id", id),
        ("ce_source", source),
        ("ce_time", time),
        _CONTENT_TYPE,
        *headers,
    )


def seal_tombstone(type: bytes, id: bytes, source: bytes, time: bytes, headers: Headers) -> Headers:
    """Returns the headers of a tombstone: those of ``seal``, without the type of the content that it does not have."""
    return tuple(pair for pair in seal(type, id, source, time, headers) if pair is not _CONTENT_TYPE)


def rfc3339(time: float) -> bytes:
    """Writes seconds since 1970 as CloudEvents has a timestamp (https://www.rfc-editor.org/rfc/rfc3339), in milliseconds."""
    text = moment(time).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").encode()


def event_time(envelope: Envelope, record: Record) -> datetime:
    """Returns when an event happened: what its publisher says, or else when it was published first."""
    text = envelope.text("ce_time")
    if text:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return moment(seconds_of(envelope.text(PUBLISHED_HEADER), record.timestamp))


def seconds_of(text: str, default: float) -> float:
    """Returns the seconds since 1970 that a header says; the default if it says none that are in the years 1 to 9999."""
    seconds = finite(text, _FIRST_SECOND, _LAST_SECOND)
    return default if seconds is None else seconds


def moment(seconds: float) -> datetime:
    """Returns seconds since 1970 as a time; one beyond the years 1 to 9999, which a foreign record may have, as the nearest."""
    return datetime.fromtimestamp(min(_LAST_SECOND, max(_FIRST_SECOND, seconds)), UTC)  # in this order NaN is the first


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


def usual_type(headers: Headers) -> bytes | None:
    """Returns the type of a record that is as micro-rt itself writes it, and asks for nothing special; None of any other.

    It is what nearly every record is, and costs a fraction of ``open_envelope``.
    """
    count = len(headers)
    if count < _OURS or headers[1][0] != "ce_type" or headers[_OURS - 1] != _CONTENT_TYPE:
        return None
    if count > _OURS:
        for name, _ in headers[_OURS:]:
            if name.startswith("micro-"):
                return None
    return headers[1][1]


def open_envelope(record: Record) -> Envelope:
    """Returns what a record holds, in whichever envelope it is.

    Raises:
        ValueError: its envelope cannot be read; the message says why.
    """
    headers = {name.lower(): value for name, value in record.headers}
    if (reason := headers.get(UNREADABLE)) is not None:
        raise ValueError(reason.decode(errors="replace"))
    content_type = headers.get("content-type", b"")
    plain = PROTOBUF if content_type == _CONTENT_TYPE[1] else _plain(content_type.decode(errors="replace"))
    if record.tombstone:  # Whatever the headers say of its content, it has none.
        return Envelope(headers.get("ce_type", b"").decode(errors="replace"), plain, b"", headers)
    if plain.startswith(_STRUCTURED):  # then headers may say the same, or nothing
        return _structured(record.value, plain, headers)
    type = headers.get("ce_type")
    if type is not None:  # binary mode, as nearly every record is
        return Envelope(type.decode(errors="replace"), plain, record.value, headers)
    if record.value[:1] == b"{":
        found = _from_json(record.value, plain, headers)
        if found is not None:
            return found
    return Envelope("", plain, record.value, headers)


def _structured(value: bytes, format: str, headers: Mapping[str, bytes]) -> Envelope:
    if format != STRUCTURED:
        raise ValueError(f"it is in {format}; of CloudEvents in structured mode only {STRUCTURED} is read")
    try:
        parsed = read_json(value)
    except ValueError as error:
        raise ValueError(f"its value is not JSON, which {STRUCTURED} is: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError(f"its value is not a JSON object, which {STRUCTURED} is")
    return _from_attributes(cast("dict[str, Any]", parsed), JSON, headers)


def _from_attributes(fields: Mapping[str, Any], usually: str, headers: Mapping[str, bytes]) -> Envelope:
    content_type = _plain(str(fields.get("datacontenttype") or usually))
    if "data_base64" in fields:
        try:
            data = b64decode(fields["data_base64"], validate=True)
        except (TypeError, ValueError, Base64Error) as error:
            raise ValueError(f"its data_base64 is not base64: {error}") from None
    elif _is_json(content_type):
        data = json.dumps(fields.get("data", {})).encode()
    elif isinstance(fields.get("data"), str):
        data = fields["data"].encode()
    else:
        raise ValueError(f"its data is JSON, and datacontenttype says {content_type}")
    attributes = {
        f"ce_{name}": (str(value).lower() if isinstance(value, bool) else str(value)).encode()
        for name, value in fields.items()
        if name not in ("data", "data_base64", "datacontenttype") and value is not None
    }
    trace = {name: attributes[f"ce_{name}"] for name in _TRACE if f"ce_{name}" in attributes}
    return Envelope(str(fields.get("type") or ""), content_type, data, {**trace, **headers, **attributes})


def _from_json(value: bytes, plain: str, headers: Mapping[str, bytes]) -> Envelope | None:
    """Returns what is in the envelope that a value is by its looks; None if it is in none."""
    try:
        fields = cast("dict[str, Any]", read_json(value))
    except ValueError:
        return None
    if all(isinstance(fields.get(name), str) for name in _REQUIRED):
        # Structured mode as the cloudevents package writes it before 2.0: with the content type of the data.
        return _from_attributes(fields, plain or JSON, headers)
    return _from_go_micro(fields, headers) if plain in ("", *_JSON_TYPES) else None


def _from_go_micro(parsed: Mapping[str, Any], headers: Mapping[str, bytes]) -> Envelope | None:
    # Go matches names whatever their case, and its own plugin writes nothing else.
    fields = {name.lower(): field for name, field in parsed.items()}
    if fields.get("header") is None:
        fields["header"] = {}  # a nil map of Go is null
    if not isinstance(fields["header"], dict) or not fields.keys() <= {"header", "body"} or "body" not in fields:
        return None
    inner = {str(name).lower(): str(text).encode() for name, text in cast("dict[str, Any]", fields["header"]).items()}
    try:
        data = b64decode(fields["body"] or "", validate=True)
    except (TypeError, ValueError, Base64Error):
        return None
    content_type = _plain(inner.get("content-type", b"").decode(errors="replace"))
    if not content_type and data[:1] == b"{":
        content_type = JSON  # as go-micro's own subscribers take it
    type = inner.get("ce_type", b"").decode(errors="replace")
    return Envelope(type, content_type, data, {**headers, **inner})


def _is_json(content_type: str) -> bool:
    return content_type in _JSON_TYPES or content_type.endswith("+json")


def _plain(content_type: str) -> str:
    """The content type without parameters."""
    return content_type.partition(";")[0].strip().lower()
