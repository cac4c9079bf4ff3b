"""Messages of comments.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Block",
    "Starred",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Block(_message.Message):
    """A block comment
    of several lines,
      some of them indented.
    """

    a: str
    """Behind the field."""
    b: str
    """
    "Quoted"
    """
    c: str
    """ends with "quotes\""""
    d: str
    """Has \\\"\"\"triple quotes\\\"\"\" and \"\"\" and a backslash: \\ \\n \\x41 \\N{DASH} \\"""
    e: str
    """Tab	here, bell\x07, form feed\x0cthere, éè 中文 😀, \u2028line separator\u200b.

    {{ jinja }} {% raw %} {# no #} %s {0}
    """
    f: str
    """First line of a comment that is not detached.

      * a list
      * of things

    ```
    code(here)
    ```
    """
    g: str
    """No space."""

    def __init__(
        self,
        *,
        a: str | None = ...,
        b: str | None = ...,
        c: str | None = ...,
        d: str | None = ...,
        e: str | None = ...,
        f: str | None = ...,
        g: str | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["a", "b", "c", "d", "e", "f", "g"]) -> None: ...

    A_FIELD_NUMBER: _typing.Final = 1
    B_FIELD_NUMBER: _typing.Final = 2
    C_FIELD_NUMBER: _typing.Final = 3
    D_FIELD_NUMBER: _typing.Final = 4
    E_FIELD_NUMBER: _typing.Final = 5
    F_FIELD_NUMBER: _typing.Final = 6
    G_FIELD_NUMBER: _typing.Final = 7

@_typing.final
class Starred(_message.Message):
    """Begins with two stars."""

    a: str
    """
    Lines with stars.
      - further to the right
    """
    b: str
    """A banner."""
    c: str
    """**Bold** at the start."""
    d: str
    """**Bold** without a space."""
    e: str
    """No space.
    Second line.
    """
    f: str
    """Lines without stars,
    which protoc moves to the left.
    """
    g: str
    """A tab behind the marker."""
    h: str
    """
    Code:

        if (a) {
            b();
        }
    """
    i: str
    """
    All of it
      is further to the right.
    """
    j: str

    def __init__(
        self,
        *,
        a: str | None = ...,
        b: str | None = ...,
        c: str | None = ...,
        d: str | None = ...,
        e: str | None = ...,
        f: str | None = ...,
        g: str | None = ...,
        h: str | None = ...,
        i: str | None = ...,
        j: str | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]) -> None: ...

    A_FIELD_NUMBER: _typing.Final = 1
    B_FIELD_NUMBER: _typing.Final = 2
    C_FIELD_NUMBER: _typing.Final = 3
    D_FIELD_NUMBER: _typing.Final = 4
    E_FIELD_NUMBER: _typing.Final = 5
    F_FIELD_NUMBER: _typing.Final = 6
    G_FIELD_NUMBER: _typing.Final = 7
    H_FIELD_NUMBER: _typing.Final = 8
    I_FIELD_NUMBER: _typing.Final = 9
    J_FIELD_NUMBER: _typing.Final = 10
