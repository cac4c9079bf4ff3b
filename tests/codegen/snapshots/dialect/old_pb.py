"""Messages of old.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from micro_rt.dialects import betterproto as _betterproto

if not TYPE_CHECKING:
    from micro_rt.dialects.fields import UNSET as _UNSET, new as _new
    from micro_rt.dialects.wire import (
        DecodeError as _DecodeError,
        LIMIT as _LIMIT,
        SMALL as _SMALL,
        int32 as _int32,
        read_varint as _read_varint,
        signed32 as _signed32,
        skip as _skip,
        tag as _tag,
        varint as _varint,
    )

__all__ = ["Record"]


@_betterproto.message("old.Record")
class Record(_betterproto.Message):
    number: int | None = _betterproto.field(1, "int32", optional=True)
    numbers: list[int] = _betterproto.field(2, "int32", repeated=True)
    packed: list[int] = _betterproto.field(3, "int32", repeated=True)
    inside: Record = _betterproto.field(4, "message", lambda: Record)

    if not TYPE_CHECKING:

        def __init__(self, number=_UNSET, numbers=_UNSET, packed=_UNSET, inside=_UNSET):
            if number is not _UNSET:
                self.number = number
            self.numbers = [] if numbers is _UNSET else numbers
            self.packed = [] if packed is _UNSET else packed
            if inside is not _UNSET:
                self._f4 = inside

        def _write_(self):
            out = []
            v = self.number
            if v is not None:
                out += (b"\x08", _SMALL[v] if 0 <= v < 4096 else _int32(v))
            for v in self.numbers or ():
                out += (b"\x10", _SMALL[v] if 0 <= v < 4096 else _int32(v))
            v = self.packed
            if v:
                x = b"".join([_SMALL[i] if 0 <= i < 4096 else _int32(i) for i in v])
                n = len(x)
                out += (b"\x1a", _SMALL[n] if n < 4096 else _varint(n), x)
            v = self._f4
            if v is not None:
                x = v._write_()
                if x or v._serialized_on_wire:
                    n = len(x)
                    out += (b'"', _SMALL[n] if n < 4096 else _varint(n), x)
            v = self._unknown_fields
            if v:
                out.append(v)
            return b"".join(out)

        def _read_(self, data, p, end, depth, fresh):
            if depth > _LIMIT:
                raise _DecodeError(f"messages are nested deeper than {_LIMIT}")
            self._present = True
            unknown = None
            if fresh:
                self.numbers = l2 = []
                self.packed = l3 = []
            else:
                l2 = self.numbers
                l3 = self.packed
            while p < end:
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
                if t == 8:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                        n = _signed32(n)
                    self.number = n
                    if p >= end:
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t, p = _tag(data, start)
                if t == 16:
                    while True:
                        n = data[p]
                        p += 1
                        if n > 127:
                            n, p = _read_varint(data, p - 1)
                            n = _signed32(n)
                        l2.append(n)
                        if p >= end:
                            t = -1
                            break
                        start = p
                        t = data[p]
                        p += 1
                        if t > 127:
                            t, p = _tag(data, start)
                        if t != 16:
                            break
                    if t < 0:
                        break
                if t == 18:
                    while True:
                        n = data[p]
                        p += 1
                        if n > 127:
                            n, p = _read_varint(data, p - 1)
                        q = p + n
                        if q > end:
                            raise _DecodeError("a field is longer than its message")
                        x = data[p:q]
                        if x.isascii():
                            l2 += x
                            p = q
                        else:
                            while p < q:
                                n = data[p]
                                p += 1
                                if n > 127:
                                    n, p = _read_varint(data, p - 1)
                                    n = _signed32(n)
                                l2.append(n)
                            if p != q:
                                raise _DecodeError("a number is longer than its list")
                        if p >= end:
                            t = -1
                            break
                        start = p
                        t = data[p]
                        p += 1
                        if t > 127:
                            t, p = _tag(data, start)
                        if t != 18:
                            break
                    if t < 0:
                        break
                if t == 26:
                    while True:
                        n = data[p]
                        p += 1
                        if n > 127:
                            n, p = _read_varint(data, p - 1)
                        q = p + n
                        if q > end:
                            raise _DecodeError("a field is longer than its message")
                        x = data[p:q]
                        if x.isascii():
                            l3 += x
                            p = q
                        else:
                            while p < q:
                                n = data[p]
                                p += 1
                                if n > 127:
                                    n, p = _read_varint(data, p - 1)
                                    n = _signed32(n)
                                l3.append(n)
                            if p != q:
                                raise _DecodeError("a number is longer than its list")
                        if p >= end:
                            t = -1
                            break
                        start = p
                        t = data[p]
                        p += 1
                        if t > 127:
                            t, p = _tag(data, start)
                        if t != 26:
                            break
                    if t < 0:
                        break
                if t == 24:
                    while True:
                        n = data[p]
                        p += 1
                        if n > 127:
                            n, p = _read_varint(data, p - 1)
                            n = _signed32(n)
                        l3.append(n)
                        if p >= end:
                            t = -1
                            break
                        start = p
                        t = data[p]
                        p += 1
                        if t > 127:
                            t, p = _tag(data, start)
                        if t != 24:
                            break
                    if t < 0:
                        break
                if t == 34:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    v = self._f4
                    if v is None:
                        v = _new(Record)
                        self._f4 = v
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
