"""Messages of messages.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "Item",
    "Owner",
    "Reply",
    "STATE_ACTIVE",
    "STATE_OPEN",
    "STATE_UNKNOWN",
    "Small",
    "State",
]

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enums.EnumTypeWrapper):
    STATE_UNKNOWN: _typing.ClassVar[State]
    STATE_OPEN: _typing.ClassVar[State]
    STATE_ACTIVE: _typing.ClassVar[State]

    @classmethod
    def Value(cls, name: str) -> State: ...
    @classmethod
    def values(cls) -> list[State]: ...
    @classmethod
    def items(cls) -> list[tuple[str, State]]: ...

STATE_UNKNOWN: State
STATE_OPEN: State
STATE_ACTIVE: State

@_typing.final
class Small(_message.Message):
    """The smallest useful message."""

    name: str
    id: int
    active: bool

    def __init__(self, *, name: str | None = ..., id: int | None = ..., active: bool | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name", "id", "active"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1
    ID_FIELD_NUMBER: _typing.Final = 2
    ACTIVE_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class Reply(_message.Message):
    """A reply as services send them, of about 1.7 kB."""

    id: str
    title: str
    description: str
    created: int
    revision: int
    state: State
    digest: bytes
    note: str
    score: float
    active: bool
    @property
    def items(self) -> _containers.RepeatedCompositeFieldContainer[Item]: ...
    @property
    def labels(self) -> _containers.ScalarMap[str, str]: ...
    @property
    def counts(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    @property
    def owner(self) -> Owner: ...
    def __init__(
        self,
        *,
        id: str | None = ...,
        title: str | None = ...,
        description: str | None = ...,
        created: int | None = ...,
        revision: int | None = ...,
        state: State | None = ...,
        digest: bytes | None = ...,
        note: str | None = ...,
        score: float | None = ...,
        active: bool | None = ...,
        items: _abc.Iterable[Item] | None = ...,
        labels: _abc.Mapping[str, str] | None = ...,
        counts: _abc.Iterable[int] | None = ...,
        owner: Owner | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["note", "owner"]) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "id",
            "title",
            "description",
            "created",
            "revision",
            "state",
            "digest",
            "note",
            "score",
            "active",
            "items",
            "labels",
            "counts",
            "owner",
        ],
    ) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    TITLE_FIELD_NUMBER: _typing.Final = 2
    DESCRIPTION_FIELD_NUMBER: _typing.Final = 3
    CREATED_FIELD_NUMBER: _typing.Final = 4
    REVISION_FIELD_NUMBER: _typing.Final = 5
    STATE_FIELD_NUMBER: _typing.Final = 6
    DIGEST_FIELD_NUMBER: _typing.Final = 7
    NOTE_FIELD_NUMBER: _typing.Final = 8
    SCORE_FIELD_NUMBER: _typing.Final = 9
    ACTIVE_FIELD_NUMBER: _typing.Final = 10
    ITEMS_FIELD_NUMBER: _typing.Final = 11
    LABELS_FIELD_NUMBER: _typing.Final = 12
    COUNTS_FIELD_NUMBER: _typing.Final = 13
    OWNER_FIELD_NUMBER: _typing.Final = 14

@_typing.final
class Item(_message.Message):
    id: int
    name: str
    price: float
    quantity: int
    @property
    def tags(self) -> _containers.RepeatedScalarFieldContainer[str]: ...
    @property
    def sizes(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    def __init__(
        self,
        *,
        id: int | None = ...,
        name: str | None = ...,
        price: float | None = ...,
        quantity: int | None = ...,
        tags: _abc.Iterable[str] | None = ...,
        sizes: _abc.Iterable[int] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "name", "price", "quantity", "tags", "sizes"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    NAME_FIELD_NUMBER: _typing.Final = 2
    PRICE_FIELD_NUMBER: _typing.Final = 3
    QUANTITY_FIELD_NUMBER: _typing.Final = 4
    TAGS_FIELD_NUMBER: _typing.Final = 5
    SIZES_FIELD_NUMBER: _typing.Final = 6

@_typing.final
class Owner(_message.Message):
    name: str
    email: str
    id: int

    def __init__(self, *, name: str | None = ..., email: str | None = ..., id: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name", "email", "id"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1
    EMAIL_FIELD_NUMBER: _typing.Final = 2
    ID_FIELD_NUMBER: _typing.Final = 3
