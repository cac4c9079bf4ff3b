from collections.abc import Sequence

from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.wrappers_pb2 import StringValue

from micro_rt.codec.base import Codec
from micro_rt.codec.json_codec import JsonCodec
from micro_rt.testing.contracts import CodecContract


class TestJsonCodec(CodecContract):
    damaged: Sequence[bytes] = (b"", b"{", b'"\xff"', b'{"a": ' + b"[" * 200_000, b"1" * 10_000)

    def make(self) -> Codec:
        return JsonCodec()


def test_it_writes_the_names_and_forms_of_protobuf_s_mapping_and_no_blanks() -> None:
    struct = Struct(fields={"ä": Value(list_value=ListValue(values=[Value(number_value=1.5), Value(null_value=0)]))})  # type: ignore[arg-type]
    assert JsonCodec().encoder(Struct)(struct) == '{"ä":[1.5,null]}'.encode()


def test_bytes_are_json_already() -> None:
    for function in (JsonCodec().encoder(bytes), JsonCodec().decoder(bytes)):
        assert function(b'{"value": 1}') == b'{"value": 1}'


def test_the_error_names_the_message() -> None:
    try:
        JsonCodec().decoder(StringValue)(b"7")
    except ValueError as error:
        assert str(error).startswith("not the JSON of a StringValue: ")
    else:
        raise AssertionError("it read a number as a text")
