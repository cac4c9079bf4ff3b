"""Messages of names.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from micro_rt.dialects import betterproto as _betterproto

if not TYPE_CHECKING:
    from micro_rt.dialects.fields import UNSET as _UNSET, new as _new
    from micro_rt.dialects.wire import (
        DecodeError as _DecodeError,
        LIMIT as _LIMIT,
        SMALL as _SMALL,
        read_varint as _read_varint,
        skip as _skip,
        tag as _tag,
        varint as _varint,
    )

__all__ = ["Any", "Enum", "Foo", "FooBar", "FooBar_", "FooBar__", "Import", "Message", "None_", "TypeChecking", "_3D"]


@_betterproto.message("names.None")
class None_(_betterproto.Message):
    """Names that become one, or none."""

    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.import_")
class Import(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names._3D")
class _3D(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.Foo")
class Foo(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.Foo.Bar")
class FooBar__(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.FooBar")
class FooBar(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.foo_bar")
class FooBar_(_betterproto.Message):
    first: FooBar = _betterproto.field(1, "message", lambda: FooBar)
    second: FooBar__ = _betterproto.field(2, "message", lambda: FooBar__)
    third: FooBar_ = _betterproto.field(3, "message", lambda: FooBar_)

    if not TYPE_CHECKING:

        def __init__(self, first=_UNSET, second=_UNSET, third=_UNSET):
            if first is not _UNSET:
                self._f1 = first
            if second is not _UNSET:
                self._f2 = second
            if third is not _UNSET:
                self._f3 = third

        def _write_(self):
            out = []
            v = self._f1
            if v is not None:
                x = v._write_()
                if x or v._serialized_on_wire:
                    n = len(x)
                    out += (b"\n", _SMALL[n] if n < 4096 else _varint(n), x)
            v = self._f2
            if v is not None:
                x = v._write_()
                if x or v._serialized_on_wire:
                    n = len(x)
                    out += (b"\x12", _SMALL[n] if n < 4096 else _varint(n), x)
            v = self._f3
            if v is not None:
                x = v._write_()
                if x or v._serialized_on_wire:
                    n = len(x)
                    out += (b"\x1a", _SMALL[n] if n < 4096 else _varint(n), x)
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            if depth > _LIMIT:
                raise _DecodeError(f"messages are nested deeper than {_LIMIT}")
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                if t == 10:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    v = self._f1
                    if v is None:
                        v = _new(FooBar)
                        self._f1 = v
                        v._read_(data, p, q, depth + 1, True)
                    else:
                        v._read_(data, p, q, depth + 1, False)
                    p = q
                    if p >= end:
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t, p = _tag(data, start)
                if t == 18:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    v = self._f2
                    if v is None:
                        v = _new(FooBar__)
                        self._f2 = v
                        v._read_(data, p, q, depth + 1, True)
                    else:
                        v._read_(data, p, q, depth + 1, False)
                    p = q
                    if p >= end:
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t, p = _tag(data, start)
                if t == 26:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    v = self._f3
                    if v is None:
                        v = _new(FooBar_)
                        self._f3 = v
                        v._read_(data, p, q, depth + 1, True)
                    else:
                        v._read_(data, p, q, depth + 1, False)
                    p = q
                    continue
                if t in self._tags_:
                    p = start
                    continue
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.Any")
class Any(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.Enum")
class Enum(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.Message")
class Message(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)


@_betterproto.message("names.TYPE_CHECKING")
class TypeChecking(_betterproto.Message):
    if not TYPE_CHECKING:

        def __init__(self):
            pass

        def _write_(self):
            out = []
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            self._present = True
            unknown = None
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                p = _skip(data, p, t, end, depth)
                if unknown is None:
                    unknown = []
                unknown.append(data[start:p])
            if p != end:
                raise _DecodeError("a field is longer than its message")
            if unknown:
                self._unknown_fields += b"".join(unknown)
