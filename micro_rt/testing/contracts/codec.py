"""The contract suite of codecs: what every codec promises, as tests.

    class TestMyCodec(CodecContract):
        def make(self) -> Codec:
            return MyCodec()

needs nothing but pytest. The messages are those of the official protobuf runtime.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from micro_rt.codec.base import Codec
from micro_rt.kit.chance import below, shuffle
from micro_rt.testing.contracts.suite import Contract

__all__ = ["CodecContract"]


class CodecContract(Contract):
    """Subclass it, and return a codec from ``make``."""

    damaged: ClassVar[Sequence[bytes]] = (b"\xff", b"\xff" * 100)
    """Bytes that are no encoding of any message."""

    def make(self) -> Codec:
        """Returns a new codec."""
        raise NotImplementedError

    def messages(self) -> Sequence[Message]:
        """Returns the messages to encode; override it for a codec that is for messages of some types only."""
        return _messages()

    def test_the_content_subtype_can_travel(self) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", self.make().content_subtype)

    def test_a_message_survives(self) -> None:
        codec = self.make()
        for message in self.messages():
            encode, decode = codec.encoder(type(message)), codec.decoder(type(message))
            copy = decode(encode(message))
            assert type(copy) is type(message)
            assert copy == message
            assert copy.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True)

    def test_what_is_set_survives_and_what_is_not_set_stays_so(self) -> None:
        codec = self.make()
        for message in self.messages():
            copy = codec.decoder(type(message))(codec.encoder(type(message))(message))
            for field in message.DESCRIPTOR.fields:
                if field.has_presence:
                    assert copy.HasField(field.name) == message.HasField(field.name), field.full_name
            for oneof in message.DESCRIPTOR.oneofs:
                assert copy.WhichOneof(oneof.name) == message.WhichOneof(oneof.name), oneof.full_name

    def test_an_empty_message_survives(self) -> None:
        codec = self.make()
        for message_type in dict.fromkeys(map(type, self.messages())):
            assert codec.decoder(message_type)(codec.encoder(message_type)(message_type())) == message_type()

    def test_encoding_returns_bytes_and_leaves_the_message_as_it_is(self) -> None:
        codec = self.make()
        for message in self.messages():
            before = type(message).FromString(message.SerializeToString())
            assert type(codec.encoder(type(message))(message)) is bytes
            assert message == before

    def test_damaged_bytes_are_a_value_error(self) -> None:
        codec = self.make()
        for message_type in dict.fromkeys(map(type, self.messages())):
            decode = codec.decoder(message_type)
            for damaged in self.damaged:
                with pytest.raises(ValueError):
                    decode(damaged)

    def test_whatever_comes_is_decoded_or_is_a_value_error(self) -> None:
        codec = self.make()
        for message in self.messages():
            data, decode = codec.encoder(type(message))(message), codec.decoder(type(message))
            for _ in range(200):
                changed = bytearray(data[: below(len(data) + 1)])
                for _ in range(below(4)):
                    changed.insert(below(len(changed) + 1), below(256))
                given = bytes(changed)
                try:
                    decoded = decode(given)
                except ValueError as error:
                    assert str(error), "it does not say what is wrong"
                else:
                    assert type(decoded) is type(message)
                assert given == bytes(changed)

    def test_functions_can_be_used_again_and_in_any_order(self) -> None:
        codec, messages = self.make(), list(self.messages())
        functions = [(codec.encoder(type(each)), codec.decoder(type(each))) for each in messages]
        encoded = [encode(message) for message, (encode, _) in zip(messages, functions, strict=True)]
        order = [*range(len(messages))] * 3
        shuffle(order)
        for number in order:
            decode = functions[number][1]
            with pytest.raises(ValueError):
                decode(self.damaged[0])  # leaves nothing behind
            assert decode(encoded[number]) == messages[number]
            assert decode(functions[number][0](messages[number])) == messages[number]

    def test_two_codecs_understand_each_other(self) -> None:
        one, other = self.make(), self.make()
        assert one.content_subtype == other.content_subtype
        for message in self.messages():
            assert other.decoder(type(message))(one.encoder(type(message))(message)) == message

    def test_a_large_message_survives(self) -> None:
        codec = self.make()
        message_type: type[Any] = next((type(each) for each in self.messages() if isinstance(each, StringValue)), Empty)
        if message_type is Empty:
            pytest.skip("this codec is for messages of some types only")
        message = StringValue(value="ä" * (1 << 20))
        assert codec.decoder(message_type)(codec.encoder(message_type)(message)) == message


_TYPES: Sequence[str] = (
    "double",
    "float",
    "int64",
    "uint64",
    "int32",
    "fixed64",
    "fixed32",
    "bool",
    "string",
    "bytes",
    "uint32",
    "sfixed32",
    "sfixed64",
    "sint32",
    "sint64",
)


@cache
def _everything() -> type[Any]:
    """A message with every kind of field."""
    field = FieldDescriptorProto
    name = "micro_rt.testing.contracts.Everything"
    message = DescriptorProto(name="Everything")
    numbers = iter(range(1, 1000))

    def add(
        name: str,
        type: str,
        label: FieldDescriptorProto.Label.ValueType = FieldDescriptorProto.LABEL_OPTIONAL,
        **more: Any,
    ) -> None:
        kind = field.Type.Value(f"TYPE_{type.upper()}")
        message.field.add(name=name, number=next(numbers), type=kind, label=label, **more)

    message.oneof_decl.add(name="choice")
    for type in _TYPES:
        add(f"one_{type}", type)
        add(f"many_{type}", type, field.LABEL_REPEATED)
        add(f"chosen_{type}", type, oneof_index=0)
    color = message.enum_type.add(name="Color")
    for value, number in (("NONE", 0), ("RED", 1), ("DARK", -5)):
        color.value.add(name=value, number=number)
    add("color", "enum", type_name=f".{name}.Color")
    add("colors", "enum", field.LABEL_REPEATED, type_name=f".{name}.Color")
    add("inner", "message", type_name=f".{name}")
    add("inners", "message", field.LABEL_REPEATED, type_name=f".{name}")
    add("chosen_inner", "message", type_name=f".{name}", oneof_index=0)
    for key, value in (("string", "message"), ("int32", "bytes"), ("bool", "double"), ("uint64", "string")):
        entry = message.nested_type.add(name=f"By{key.title()}Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, type=field.Type.Value(f"TYPE_{key.upper()}"), label=field.LABEL_OPTIONAL)
        kind = field.Type.Value(f"TYPE_{value.upper()}")
        more = {"type_name": f".{name}"} if value == "message" else {}
        entry.field.add(name="value", number=2, type=kind, label=field.LABEL_OPTIONAL, **more)
        add(f"by_{key}", "message", field.LABEL_REPEATED, type_name=f".{name}.By{key.title()}Entry")
    for type in ("int32", "string", "bool", "bytes"):
        message.oneof_decl.add(name=f"_perhaps_{type}")
        add(f"perhaps_{type}", type, proto3_optional=True, oneof_index=len(message.oneof_decl) - 1)
    pool = DescriptorPool()
    file = FileDescriptorProto(
        name="micro_rt/testing/contracts/everything.proto", package="micro_rt.testing.contracts", syntax="proto3"
    )
    file.message_type.append(message)
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(name))


def _messages() -> list[Message]:
    every = _everything()
    extremes: list[dict[str, Any]] = [
        {
            "double": 1.7976931348623157e308,
            "float": 3.0e38,
            "bool": True,
            "string": '\0 äöü ☃ 🎉\u2028"\\',
        },
        {"double": -5e-324, "float": -0.0, "bool": False, "string": "", "bytes": b""},
        {"double": float("inf"), "float": float("-inf"), "bytes": bytes(range(256))},
        {"int64": (1 << 63) - 1, "sint64": (1 << 63) - 1, "sfixed64": (1 << 63) - 1},
        {"int64": -(1 << 63), "sint64": -(1 << 63), "sfixed64": -(1 << 63)},
        {"uint64": (1 << 64) - 1, "fixed64": (1 << 64) - 1, "uint32": (1 << 32) - 1, "fixed32": (1 << 32) - 1},
        {"int32": (1 << 31) - 1, "sint32": (1 << 31) - 1, "sfixed32": (1 << 31) - 1},
        {"int32": -(1 << 31), "sint32": -(1 << 31), "sfixed32": -(1 << 31)},
    ]
    messages = [every(**{f"one_{type}": value for type, value in each.items()}) for each in extremes]
    messages += [every(**{f"many_{type}": [value, value] for type, value in each.items()}) for each in extremes]
    messages += [every(**{f"chosen_{type}": value}) for each in extremes for type, value in each.items()]
    inner = every(one_string="inner", inner=every(inner=every(many_int32=[0, -1, 1])))
    messages += [
        every(),
        every(inner=every()),
        every(chosen_inner=every()),
        every(color=1, colors=[0, 1, -5]),
        every(inner=inner, inners=[inner, every(), inner], chosen_inner=inner),
        every(
            by_string={"": every(), "ä": inner},
            by_int32={0: b"", -1: bytes(range(256))},
            by_bool={True: 1.5, False: 0.0},
            by_uint64={0: "", (1 << 64) - 1: "☃"},
        ),
        every(perhaps_int32=0, perhaps_string="", perhaps_bool=False, perhaps_bytes=b""),
        every(perhaps_int32=1, perhaps_string="x", perhaps_bool=True, perhaps_bytes=b"x"),
        Empty(),
        StringValue(value="text"),
        BytesValue(value=b"\0\xff"),
        Timestamp(seconds=1_700_000_000, nanos=123_456_789),
        Duration(seconds=-3, nanos=-500_000_000),
    ]
    return messages
