"""The base of generated betterproto messages: a ``betterproto.Message`` whose work is done by generated code.

Generated classes bring three methods: a constructor, ``_write_``, which encodes, and ``_read_``, which decodes. All that
betterproto's own class does by looking at a message's fields one by one, for every message again, is replaced here.

A field that was never set is not in the instance: reading it gives the default that its class has. A message that
was never set is made when it is first asked for, as betterproto does.
"""

from __future__ import annotations

import copy
import enum
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

import betterproto
from betterproto.casing import camel_case

from micro_rt.dialects import dicts, proto_json
from micro_rt.dialects.faults import FAULTS, fault
from micro_rt.dialects.fields import UNSET, Spec
from micro_rt.dialects.late import Late, bind, complete, describe, field
from micro_rt.dialects.wire import DecodeError, StructError, read_varint, varint
from micro_rt.version import require_version

__all__ = ["UNSET", "DecodeError", "Enum", "Message", "Spec", "field", "message", "require_version"]

if TYPE_CHECKING:

    class Enum(enum.IntEnum):
        """The base class of generated enums: betterproto's own, as type checkers can understand it."""

        @classmethod
        def try_value(cls, value: int = 0) -> Self:
            """Returns the member with a number, or for a number that is none's a value without a name."""
            ...

        @classmethod
        def from_string(cls, name: str) -> Self:
            """Returns the member with a name."""
            ...

else:
    Enum = betterproto.Enum

MessageT = TypeVar("MessageT", bound="type[Message]")


@dataclass_transform(eq_default=False)
def message(full_name: str) -> Callable[[MessageT], MessageT]:
    """Makes a message of a generated class; for type checkers it is a dataclass.

    Args:
        full_name: the message's name in the .proto, with its package.
    """

    def decorate(kind: MessageT) -> MessageT:
        generated: Any = kind
        generated._full_name_ = full_name
        generated._kept_ = {}
        return kind

    return decorate


class Message(betterproto.Message):
    """The base class of generated messages."""

    _full_name_: ClassVar[str] = ""
    _kept_: ClassVar[dict[str, Any]]
    _unknown_fields: bytes = b""
    _present: bool | None = None

    if not TYPE_CHECKING:
        _specs_, _tags_ = Late(complete), Late(complete)
        _always_present_, __match_args__ = Late(complete), Late(complete)
        __dataclass_fields__, __dataclass_params__ = Late(describe), Late(describe)
        __init__, _write_, _read_ = Late(bind), Late(bind), Late(bind)

        # betterproto's own look at every name that is read or written.
        __getattribute__ = object.__getattribute__
        __setattr__ = object.__setattr__

        def __post_init__(self) -> None:
            """Forgets the parameters that were not given; the constructor of a subclass that is a dataclass calls this."""
            state = vars(self)
            for spec in self._specs_:
                for place in (spec.name, spec.slot):
                    if state.get(place) is UNSET:
                        del state[place]
                if not spec.single:
                    state.setdefault(spec.name, spec.default())

        @property
        def _serialized_on_wire(self) -> bool:
            """Whether anything was set; ``betterproto.serialized_on_wire`` asks for it."""
            if self._present is not None:
                return self._present or self._holds()
            return self._always_present_ or self._holds()

        @_serialized_on_wire.setter
        def _serialized_on_wire(self, value: bool) -> None:
            self._present = value

        @property
        def _group_current(self) -> dict[str, str | None]:
            """The set member of each oneof; ``betterproto.which_one_of`` asks for it."""
            result: dict[str, str | None] = {}
            for spec in self._specs_:
                if spec.group:
                    result.setdefault(spec.group)
                    if spec.is_set(self):
                        result[spec.group] = spec.name
            return result

    else:
        _specs_: ClassVar[tuple[Spec, ...]] = ()
        _tags_: ClassVar[frozenset[int]] = frozenset()
        _always_present_: ClassVar[bool] = False

        def _write_(self) -> bytes:
            return b""

        def _read_(self, data: bytes, position: int, end: int, depth: int, fresh: bool) -> None: ...

    def _holds(self) -> bool:
        """Returns whether anything in the message was set."""
        return bool(self._unknown_fields) or any(spec.holds(self) for spec in self._specs_)

    def _items(self) -> Iterator[tuple[Spec, Any]]:
        """Yields the fields that are set, with their values."""
        for spec in self._specs_:
            if spec.holds(self):
                yield spec, spec.get(self)

    def __eq__(self, other: object) -> bool:
        """Returns whether two messages of one class hold the same; NaN equals NaN here."""
        if type(self) is not type(other):
            return NotImplemented
        return all(spec.equal(self, other) for spec in self._specs_)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Returns the constructor call with the fields that were set, in the order of their numbers."""
        specs = sorted(self._specs_, key=lambda spec: spec.number)
        parts = [f"{spec.name}={spec.get(self)!r}" for spec in specs if spec.holds(self)]
        return f"{self.__class__.__name__}({', '.join(parts)})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any, Any]]:
        """Yields the fields that were set, for rich."""
        for spec, value in self._items():
            yield spec.name, value, UNSET

    def __bool__(self) -> bool:
        """Returns whether any field is not its default."""
        return any(spec.get(self) != spec.default() for spec in self._specs_ if spec.holds(self))

    def __len__(self) -> int:
        """Returns the size of the encoded message."""
        return len(self.SerializeToString())

    def __bytes__(self) -> bytes:
        """Returns the encoded message; see ``SerializeToString``."""
        try:
            return self._write_()
        except FAULTS as error:
            raise fault(self, error) from None

    def __copy__(self, _: Any = None) -> Self:
        """Returns a copy that shares what the fields hold."""
        result = self.__class__.__new__(self.__class__)
        vars(result).update(vars(self))
        return result

    def __deepcopy__(self, memo: Any = None) -> Self:
        """Returns a copy that shares nothing."""
        result = self.__class__.__new__(self.__class__)
        vars(result).update(copy.deepcopy(vars(self), memo))
        return result

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Returns the encoded message.

        Raises:
            TypeError: a field has a value of a wrong type; the error names the message and the field.
            ValueError: a field has a value that it cannot hold, such as a number out of its range.
        """
        try:
            return self._write_()
        except FAULTS as error:
            raise fault(self, error) from None

    @classmethod
    def FromString(cls, data: bytes) -> Self:  # noqa: N802
        """Decodes a message.

        Raises:
            DecodeError: the bytes are damaged, or of something else; it is a ``ValueError``.
        """
        if data.__class__ is not bytes:
            data = bytes(data)
        result = cls.__new__(cls)
        try:
            result._read_(data, 0, len(data), 0, True)
        except (IndexError, StructError, UnicodeDecodeError, RecursionError) as error:
            raise _decode_error(cls, error) from None
        return result

    def parse(self, data: bytes) -> Self:
        """Decodes bytes into this message: what it holds already stays, where the bytes say nothing else.

        Raises:
            DecodeError: the bytes are damaged, or of something else; it is a ``ValueError``.
        """
        data = bytes(data)
        try:
            self._read_(data, 0, len(data), 0, False)
        except (IndexError, StructError, UnicodeDecodeError, RecursionError) as error:
            raise _decode_error(type(self), error) from None
        return self

    def dump(self, stream: Any, delimit: Any = False) -> None:
        """Writes the encoded message to a stream, behind its size with ``delimit=betterproto.SIZE_DELIMITED``."""
        data = self.SerializeToString()
        if delimit == betterproto.SIZE_DELIMITED:
            stream.write(varint(len(data)))
        stream.write(data)

    def load(self, stream: Any, size: int | None = None) -> Self:
        """Decodes a message from a stream.

        Args:
            stream: what to read from.
            size: how many bytes; all when None; ``betterproto.SIZE_DELIMITED`` when the size comes first.

        Raises:
            DecodeError: the bytes are damaged, or fewer than there should be; it is a ``ValueError``.
        """
        if size == betterproto.SIZE_DELIMITED:
            size = _read_size(stream)
        if size is None:
            return self.parse(stream.read())
        data = stream.read(size)
        if len(data) < size:
            raise DecodeError(f"the stream ended after {len(data)} of {size} bytes")
        return self.parse(data)

    def is_set(self, name: str) -> bool:
        """Returns whether a field was set."""
        for spec in self._specs_:
            if spec.name == name:
                return spec.is_set(self)
        raise KeyError(name)

    def to_dict(self, casing: Any = camel_case, include_default_values: bool = False) -> dict[str, Any]:
        """Returns the message by protobuf's JSON mapping, as ``json.dumps`` takes it.

        Args:
            casing: ``betterproto.Casing.CAMEL`` for the JSON names of the .proto, ``SNAKE`` for those of the fields.
            include_default_values: whether fields that are not set are in it too.

        Raises:
            TypeError: a field has a value of a wrong type; the error names the message and the field.
            ValueError: something in it has no JSON, such as a timestamp beyond the year 9999.
        """
        return proto_json.to_dict(self, casing, include_default_values)

    def to_json(
        self,
        indent: int | str | None = None,
        include_default_values: bool = False,
        casing: Any = camel_case,
    ) -> str:
        """Returns the message by protobuf's JSON mapping; see ``to_dict``."""
        return json.dumps(self.to_dict(casing, include_default_values), indent=indent)

    if TYPE_CHECKING:

        @classmethod
        def from_dict(  # pyright: ignore[reportIncompatibleVariableOverride]
            cls, value: Mapping[str, Any], *, ignore_unknown_fields: bool = False
        ) -> Self:
            """Reads protobuf's JSON mapping, as ``json.loads`` gives it; of an instance, into that instance."""
            ...

    else:
        from_dict = proto_json.FromDict()

    def from_json(self, value: str | bytes, *, ignore_unknown_fields: bool = False) -> Self:
        """Reads protobuf's JSON mapping into this message.

        Args:
            value: the JSON text.
            ignore_unknown_fields: whether names and enum values that the .proto does not know are passed over.

        Raises:
            DecodeError: the text is not JSON, or not that of such a message; it is a ``ValueError``.
        """
        proto_json.read_json(self, value, ignore_unknown_fields)
        return self

    def to_pydict(self, casing: Any = camel_case, include_default_values: bool = False) -> dict[str, Any]:
        """Returns the message as a dict of Python's own values; messages in it are dicts too.

        A ``google.protobuf.Struct``, ``Value`` or ``ListValue`` becomes the dict, value or list that it stands for.

        Args:
            casing: ``betterproto.Casing.CAMEL`` or ``SNAKE``, the form of the keys.
            include_default_values: whether fields that are not set are in it too, all but members of oneofs and ``Value``.

        Raises:
            TypeError: a field of messages holds something else; the error names the message and the field.
        """
        found: dict[str, Any] = dicts.to_pydict(self, casing, include_default_values)
        return found

    def from_pydict(self, value: Mapping[str, Any]) -> Self:
        """Reads a dict as ``to_pydict`` makes it into this message. Keys that no field has are passed over.

        Raises:
            TypeError: a message, a list or a map is something else in the dict.
        """
        dicts.from_pydict(self, value)
        return self


# betterproto reads the annotations of every base class by the names of the generated module.
Message.__annotations__ = {}


def _decode_error(kind: Any, error: Exception) -> DecodeError:
    reason = "the bytes end too early" if isinstance(error, (IndexError, StructError)) else str(error)
    return DecodeError(f"not a valid {kind._full_name_}: {reason}")


def _read_size(stream: Any) -> int:
    data = b""
    while not data or data[-1] > 0x7F:
        byte = stream.read(1)
        if not byte:
            raise EOFError("the stream ended where the size of a message should be")
        data += byte
    return read_varint(data, 0)[0]
