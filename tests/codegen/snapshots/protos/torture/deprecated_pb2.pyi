"""Messages of torture/deprecated.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="deprecated"
# pyright: reportDeprecated=false

import collections.abc as _abc
import typing as _typing
import typing_extensions as _typing_extensions
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "Nested",
    "Old",
    "STATE_OLD",
    "STATE_UNKNOWN",
    "State",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing_extensions.deprecated("torture.deprecated.State is deprecated")
class State(int, metaclass=_enums.EnumTypeWrapper):
    """Deprecated."""

    STATE_UNKNOWN: _typing.ClassVar[State]
    STATE_OLD: _typing.ClassVar[State]
    """An old value.

    Deprecated.
    """

    @classmethod
    def Value(cls, name: str) -> State: ...
    @classmethod
    def values(cls) -> list[State]: ...
    @classmethod
    def items(cls) -> list[tuple[str, State]]: ...

STATE_UNKNOWN: State
STATE_OLD: State

@_typing_extensions.deprecated("torture.deprecated.Old is deprecated")
@_typing.final
class Old(_message.Message):
    """An old message, still used.

    Deprecated.
    """

    field: str
    """An old field.

    Deprecated.
    """
    @property
    def older(self) -> Nested.Older:
        """Deprecated."""
    @property
    def states(self) -> _containers.RepeatedScalarFieldContainer[State]: ...
    def __init__(
        self, *, field: str | None = ..., older: Nested.Older | None = ..., states: _abc.Iterable[State] | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["older"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["field", "older", "states"]) -> None: ...

    FIELD_FIELD_NUMBER: _typing.Final = 1
    OLDER_FIELD_NUMBER: _typing.Final = 2
    STATES_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class Nested(_message.Message):
    kind: Nested.OldKind
    @property
    def older(self) -> Nested.Older: ...
    def __init__(self, *, kind: Nested.OldKind | None = ..., older: Nested.Older | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["older"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["kind", "older"]) -> None: ...

    KIND_FIELD_NUMBER: _typing.Final = 1
    OLDER_FIELD_NUMBER: _typing.Final = 2

    @_typing_extensions.deprecated("torture.deprecated.Nested.OldKind is deprecated")
    class OldKind(int, metaclass=_enums.EnumTypeWrapper):
        """Deprecated."""

        OLD_KIND_NONE: _typing.ClassVar[Nested.OldKind]

        @classmethod
        def Value(cls, name: str) -> Nested.OldKind: ...
        @classmethod
        def values(cls) -> list[Nested.OldKind]: ...
        @classmethod
        def items(cls) -> list[tuple[str, Nested.OldKind]]: ...

    OLD_KIND_NONE: _typing.ClassVar[Nested.OldKind]

    @_typing_extensions.deprecated("torture.deprecated.Nested.Older is deprecated")
    @_typing.final
    class Older(_message.Message):
        """Deprecated."""

        def __init__(self) -> None: ...
