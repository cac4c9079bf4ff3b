"""Messages of nested.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import NullValue, Struct
from google.protobuf.timestamp_pb2 import Timestamp

__all__ = [
    "Outer",
    "STATE_GOOD",
    "STATE_OK",
    "STATE_UNKNOWN",
    "State",
]

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enums.EnumTypeWrapper):
    """How things are."""

    STATE_UNKNOWN: _typing.ClassVar[State]
    """Nobody knows."""
    STATE_GOOD: _typing.ClassVar[State]
    STATE_OK: _typing.ClassVar[State]
    """Deprecated."""

    @classmethod
    def Value(cls, name: str) -> State: ...
    @classmethod
    def values(cls) -> list[State]: ...
    @classmethod
    def items(cls) -> list[tuple[str, State]]: ...

STATE_UNKNOWN: State
STATE_GOOD: State
STATE_OK: State

@_typing.final
class Outer(_message.Message):
    @property
    def by_name(self) -> _containers.MessageMap[str, _Outer.Inner]: ...
    @property
    def by_number(self) -> _containers.ScalarMap[int, str]: ...
    @property
    def by_truth(self) -> _containers.ScalarMap[bool, State]: ...
    @property
    def inners(self) -> _containers.RepeatedCompositeFieldContainer[_Outer.Inner]: ...
    @property
    def words(self) -> _containers.RepeatedScalarFieldContainer[str]: ...
    @property
    def time(self) -> Timestamp: ...
    @property
    def duration(self) -> Duration: ...
    @property
    def data(self) -> Struct: ...
    nothing: NullValue
    state: State
    @property
    def outer(self) -> _Outer.Outer: ...
    old: int
    """Deprecated."""

    def __init__(
        self,
        *,
        by_name: _abc.Mapping[str, _Outer.Inner] | None = ...,
        by_number: _abc.Mapping[int, str] | None = ...,
        by_truth: _abc.Mapping[bool, State] | None = ...,
        inners: _abc.Iterable[_Outer.Inner] | None = ...,
        words: _abc.Iterable[str] | None = ...,
        time: Timestamp | None = ...,
        duration: Duration | None = ...,
        data: Struct | None = ...,
        nothing: NullValue | None = ...,
        state: State | None = ...,
        outer: _Outer.Outer | None = ...,
        old: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["time", "duration", "data", "outer"]) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "by_name",
            "by_number",
            "by_truth",
            "inners",
            "words",
            "time",
            "duration",
            "data",
            "nothing",
            "state",
            "outer",
            "old",
        ],
    ) -> None: ...

    BY_NAME_FIELD_NUMBER: _typing.Final = 1
    BY_NUMBER_FIELD_NUMBER: _typing.Final = 2
    BY_TRUTH_FIELD_NUMBER: _typing.Final = 3
    INNERS_FIELD_NUMBER: _typing.Final = 4
    WORDS_FIELD_NUMBER: _typing.Final = 5
    TIME_FIELD_NUMBER: _typing.Final = 6
    DURATION_FIELD_NUMBER: _typing.Final = 7
    DATA_FIELD_NUMBER: _typing.Final = 8
    NOTHING_FIELD_NUMBER: _typing.Final = 9
    STATE_FIELD_NUMBER: _typing.Final = 10
    OUTER_FIELD_NUMBER: _typing.Final = 11
    OLD_FIELD_NUMBER: _typing.Final = 12

    @_typing.final
    class Inner(_message.Message):
        """A thing inside."""

        @property
        def innermost(self) -> _Outer.Inner.Innermost: ...
        @property
        def kinds(self) -> _containers.RepeatedScalarFieldContainer[_Outer.Inner.Kind]: ...
        state: State

        def __init__(
            self,
            *,
            innermost: _Outer.Inner.Innermost | None = ...,
            kinds: _abc.Iterable[_Outer.Inner.Kind] | None = ...,
            state: State | None = ...,
        ) -> None: ...
        def HasField(self, field_name: _typing.Literal["innermost"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["innermost", "kinds", "state"]) -> None: ...

        INNERMOST_FIELD_NUMBER: _typing.Final = 1
        KINDS_FIELD_NUMBER: _typing.Final = 2
        STATE_FIELD_NUMBER: _typing.Final = 3

        class Kind(int, metaclass=_enums.EnumTypeWrapper):
            KIND_UNKNOWN: _typing.ClassVar[_Outer.Inner.Kind]
            KIND_ODD: _typing.ClassVar[_Outer.Inner.Kind]

            @classmethod
            def Value(cls, name: str) -> _Outer.Inner.Kind: ...
            @classmethod
            def values(cls) -> list[_Outer.Inner.Kind]: ...
            @classmethod
            def items(cls) -> list[tuple[str, _Outer.Inner.Kind]]: ...

        KIND_UNKNOWN: _typing.ClassVar[_Outer.Inner.Kind]
        KIND_ODD: _typing.ClassVar[_Outer.Inner.Kind]

        @_typing.final
        class Innermost(_message.Message):
            @property
            def parent(self) -> _Outer.Inner: ...
            kind: _Outer.Inner.Kind

            def __init__(self, *, parent: _Outer.Inner | None = ..., kind: _Outer.Inner.Kind | None = ...) -> None: ...
            def HasField(self, field_name: _typing.Literal["parent"]) -> bool: ...
            def ClearField(self, field_name: _typing.Literal["parent", "kind"]) -> None: ...

            PARENT_FIELD_NUMBER: _typing.Final = 1
            KIND_FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class Outer(_message.Message):
        """A message called like the one around it."""

        @property
        def inner(self) -> _Outer.Inner: ...
        def __init__(self, *, inner: _Outer.Inner | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["inner"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["inner"]) -> None: ...

        INNER_FIELD_NUMBER: _typing.Final = 1

_Outer: _typing.TypeAlias = Outer
