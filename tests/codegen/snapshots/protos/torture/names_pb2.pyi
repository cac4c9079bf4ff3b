"""Messages of torture/names.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found, no-redef"

import builtins as _builtins_
import collections.abc as _abc
import typing as _typing_
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from .import_.v1._0.class_pb2 import Class
from io_.io_pb2 import io as _io  # pyright: ignore[reportMissingImports]
from ..io_.io_pb2 import io as _io

__all__ = [
    "Any",
    "Context",
    "Message",
    "ShoutBase",
    "ShoutClient",
    "Uses",
    "_SHOUT",
    "annotations",
    "bool",
    "builtins",
    "collections",
    "deprecated",
    "micro_rt",
    "names_micro",
    "names_pb2",
    "str",
    "typing",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing_.final
class names_pb2(_message.Message):
    """Messages called like modules, services and what the generated code uses."""

    def __init__(self) -> None: ...

@_typing_.final
class names_micro(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class micro_rt(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class typing(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class collections(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class builtins(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class Message(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class Any(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class str(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class bool(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class Context(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class ShoutBase(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class ShoutClient(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class _SHOUT(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class deprecated(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class annotations(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class Uses(_message.Message):
    @property
    def names_pb2(self) -> _names_pb2: ...
    @property
    def typing(self) -> _typing: ...
    @property
    def str(self) -> _str: ...
    @property
    def bool(self) -> _bool: ...
    @property
    def message(self) -> _containers.RepeatedCompositeFieldContainer[Message]: ...
    @property
    def builtins(self) -> _containers.MessageMap[_builtins_.str, _builtins]: ...
    @property
    def io(self) -> _io: ...
    match: _builtins_.str
    """A soft keyword."""
    _: _builtins_.str

    def __init__(
        self,
        *,
        names_pb2: _names_pb2 | None = ...,
        typing: _typing | None = ...,
        str: _str | None = ...,
        bool: _bool | None = ...,
        message: _abc.Iterable[Message] | None = ...,
        builtins: _abc.Mapping[_builtins_.str, _builtins] | None = ...,
        io: _io | None = ...,
        match: _builtins_.str | None = ...,
        _: _builtins_.str | None = ...,
        **keywords: _typing_.Unpack[_Uses_keywords],
    ) -> None: ...
    def HasField(
        self,
        field_name: _typing_.Literal[
            "names_pb2", "typing", "str", "bool", "io", "class", "__private", "is", "not", "in"
        ],
    ) -> _builtins_.bool: ...
    def ClearField(
        self,
        field_name: _typing_.Literal[
            "names_pb2",
            "typing",
            "str",
            "bool",
            "message",
            "builtins",
            "io",
            "class",
            "from",
            "lambda",
            "global",
            "__private",
            "is",
            "not",
            "match",
            "_",
            "in",
        ],
    ) -> None: ...
    def WhichOneof(self, oneof_group: _typing_.Literal["in"]) -> _typing_.Literal["is", "not"] | None: ...

    NAMES_PB2_FIELD_NUMBER: _typing_.Final = 1
    TYPING_FIELD_NUMBER: _typing_.Final = 2
    STR_FIELD_NUMBER: _typing_.Final = 3
    BOOL_FIELD_NUMBER: _typing_.Final = 4
    MESSAGE_FIELD_NUMBER: _typing_.Final = 5
    BUILTINS_FIELD_NUMBER: _typing_.Final = 6
    IO_FIELD_NUMBER: _typing_.Final = 7
    CLASS_FIELD_NUMBER: _typing_.Final = 8
    FROM_FIELD_NUMBER: _typing_.Final = 9
    LAMBDA_FIELD_NUMBER: _typing_.Final = 10
    GLOBAL_FIELD_NUMBER: _typing_.Final = 11
    __PRIVATE_FIELD_NUMBER: _typing_.Final = 12
    IS_FIELD_NUMBER: _typing_.Final = 13
    NOT_FIELD_NUMBER: _typing_.Final = 14
    MATCH_FIELD_NUMBER: _typing_.Final = 15
    __FIELD_NUMBER: _typing_.Final = 16

_bool: _typing_.TypeAlias = bool

_builtins: _typing_.TypeAlias = builtins

_names_pb2: _typing_.TypeAlias = names_pb2

_str: _typing_.TypeAlias = str

_typing: _typing_.TypeAlias = typing

_Uses_keywords = _typing_.TypedDict(
    "_Uses_keywords",
    {
        "class": Class | None,
        "from": _builtins_.str | None,
        "lambda": _abc.Iterable[int] | None,
        "global": _abc.Mapping[_builtins_.str, Uses] | None,
        "__private": _SHOUT | None,
        "is": _builtins_.str | None,
        "not": int | None,
    },
    total=False,
)
