"""Messages of editions.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import TYPE_CHECKING

from micro_rt.dialects import betterproto as _betterproto

if TYPE_CHECKING:
    from till.money_pb import *  # pyright: ignore[reportMissingImports]
    from .till.money_pb import *
elif __package__:
    from .till.money_pb import Money, MoneyCurrency
else:
    from till.money_pb import Money, MoneyCurrency

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

__all__ = ["Money", "MoneyCurrency", "Settings"]


@_betterproto.message("editions.Settings")
class Settings(_betterproto.Message):
    plain: str = _betterproto.field(1, "string")
    known: str | None = _betterproto.field(2, "string", optional=True)
    expanded: list[int] = _betterproto.field(3, "int32", repeated=True)
    packed: list[int] = _betterproto.field(4, "int32", repeated=True)
    money: Money = _betterproto.field(5, "message", lambda: Money)

    if not TYPE_CHECKING:

        def __init__(self, plain=_UNSET, known=_UNSET, expanded=_UNSET, packed=_UNSET, money=_UNSET):
            if plain is not _UNSET:
                self.plain = plain
            if known is not _UNSET:
                self.known = known
            self.expanded = [] if expanded is _UNSET else expanded
            self.packed = [] if packed is _UNSET else packed
            if money is not _UNSET:
                self._f5 = money

        def _write_(self):
            out = []
            v = self.plain
            if v:
                x = v.encode()
                n = len(x)
                out += (b"\n", _SMALL[n] if n < 4096 else _varint(n), x)
            v = self.known
            if v is not None:
                x = v.encode()
                n = len(x)
                out += (b"\x12", _SMALL[n] if n < 4096 else _varint(n), x)
            for v in self.expanded or ():
                out += (b"\x18", _SMALL[v] if 0 <= v < 4096 else _int32(v))
            v = self.packed
            if v:
                x = b"".join([_SMALL[i] if 0 <= i < 4096 else _int32(i) for i in v])
                n = len(x)
                out += (b'"', _SMALL[n] if n < 4096 else _varint(n), x)
            v = self._f5
            if v is not None:
                x = v._write_()
                if x or v._serialized_on_wire:
                    n = len(x)
                    out += (b"*", _SMALL[n] if n < 4096 else _varint(n), x)
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
                self.expanded = l3 = []
                self.packed = l4 = []
            else:
                l3 = self.expanded
                l4 = self.packed
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
                    self.plain = data[p:q].decode()
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
                    self.known = data[p:q].decode()
                    p = q
                    if p >= end:
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t, p = _tag(data, start)
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
                if t == 34:
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
                            l4 += x
                            p = q
                        else:
                            while p < q:
                                n = data[p]
                                p += 1
                                if n > 127:
                                    n, p = _read_varint(data, p - 1)
                                    n = _signed32(n)
                                l4.append(n)
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
                        if t != 34:
                            break
                    if t < 0:
                        break
                if t == 32:
                    while True:
                        n = data[p]
                        p += 1
                        if n > 127:
                            n, p = _read_varint(data, p - 1)
                            n = _signed32(n)
                        l4.append(n)
                        if p >= end:
                            t = -1
                            break
                        start = p
                        t = data[p]
                        p += 1
                        if t > 127:
                            t, p = _tag(data, start)
                        if t != 32:
                            break
                    if t < 0:
                        break
                if t == 42:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    v = self._f5
                    if v is None:
                        v = _new(Money)
                        self._f5 = v
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
