"""Messages of names.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from micro_rt.dialects import betterproto as _betterproto

__all__ = ["Any", "Enum", "Foo", "FooBar", "FooBar_", "FooBar__", "Import", "Message", "None_", "TypeChecking", "_3D"]


@_betterproto.message("names.None")
class None_(_betterproto.Message):
    """Names that become one, or none."""


@_betterproto.message("names.import_")
class Import(_betterproto.Message):
    pass


@_betterproto.message("names._3D")
class _3D(_betterproto.Message):
    pass


@_betterproto.message("names.Foo")
class Foo(_betterproto.Message):
    pass


@_betterproto.message("names.Foo.Bar")
class FooBar__(_betterproto.Message):
    pass


@_betterproto.message("names.FooBar")
class FooBar(_betterproto.Message):
    pass


@_betterproto.message("names.foo_bar")
class FooBar_(_betterproto.Message):
    first: FooBar = _betterproto.field(1, "message", lambda: FooBar)
    second: FooBar__ = _betterproto.field(2, "message", lambda: FooBar__)
    third: FooBar_ = _betterproto.field(3, "message", lambda: FooBar_)


@_betterproto.message("names.Any")
class Any(_betterproto.Message):
    pass


@_betterproto.message("names.Enum")
class Enum(_betterproto.Message):
    pass


@_betterproto.message("names.Message")
class Message(_betterproto.Message):
    pass


@_betterproto.message("names.TYPE_CHECKING")
class TypeChecking(_betterproto.Message):
    pass
