"""Codecs of the messages of twin.proto, written by protoc-gen-micro: change the .proto instead."""

from typing import TYPE_CHECKING

if not TYPE_CHECKING:
    from micro_rt.dialects.fields import UNSET as _UNSET, new as _new
    from micro_rt.dialects.known import (
        EPOCH as _EPOCH,
        NOTHING as _NOTHING,
        duration as _duration,
        read_duration as _read_duration,
        read_timestamp as _read_timestamp,
        read_wrapper as _read_wrapper,
        timestamp as _timestamp,
        wrapper as _wrapper,
    )
    from micro_rt.dialects.wire import (
        DecodeError as _DecodeError,
        LIMIT as _LIMIT,
        SMALL as _SMALL,
        int32 as _int32,
        int64 as _int64,
        negative_zero as _negative_zero,
        pack_double as _pack_double,
        read_varint as _read_varint,
        signed32 as _signed32,
        signed64 as _signed64,
        skip as _skip,
        tag as _tag,
        unpack_double as _unpack_double,
        varint as _varint,
    )

    if __package__:
        from .twin_pb import Leaf, Mood, Nothing
    else:
        from twin_pb import Leaf, Mood, Nothing

    def init_Leaf(self, name=_UNSET, size=_UNSET):
        if name is not _UNSET:
            self.name = name
        if size is not _UNSET:
            self.size = size

    def write_Leaf(self):
        out = []
        v = self.name
        if v:
            x = v.encode()
            n = len(x)
            out += (b"\n", _SMALL[n] if n < 4096 else _varint(n), x)
        v = self.size
        if v:
            out += (b"\x10", _SMALL[v] if 0 <= v < 4096 else _int32(v))
        v = self._unknown_fields
        if v:
            out.append(v)
        return b"".join(out)

    def read_Leaf(self, data, p, end, depth, fresh):
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
                self.name = data[p:q].decode()
                p = q
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t, p = _tag(data, start)
            if t == 16:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                    n = _signed32(n)
                self.size = n
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

    def init_Nothing(self):
        pass

    def write_Nothing(self):
        out = []
        v = self._unknown_fields
        if v:
            out.append(v)
        return b"".join(out)

    def read_Nothing(self, data, p, end, depth, fresh):
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

    def init_Tree(
        self,
        name=_UNSET,
        count=_UNSET,
        leaf=_UNSET,
        leaves=_UNSET,
        named=_UNSET,
        texts=_UNSET,
        maybe=_UNSET,
        mood=_UNSET,
        text=_UNSET,
        picked=_UNSET,
        number=_UNSET,
        moment=_UNSET,
        span=_UNSET,
        wrapped=_UNSET,
        sizes=_UNSET,
        data=_UNSET,
        ratio=_UNSET,
        nothing=_UNSET,
        flag=_UNSET,
    ):
        if name is not _UNSET:
            self.name = name
        if count is not _UNSET:
            self.count = count
        if leaf is not _UNSET:
            self._f3 = leaf
        self.leaves = [] if leaves is _UNSET else leaves
        self.named = {} if named is _UNSET else named
        self.texts = {} if texts is _UNSET else texts
        if maybe is not _UNSET:
            self.maybe = maybe
        if mood is not _UNSET:
            self.mood = mood
        if text is not _UNSET:
            self.text = text
        if picked is not _UNSET:
            self.picked = picked
        if number is not _UNSET:
            self.number = number
        if moment is not _UNSET:
            self.moment = moment
        if span is not _UNSET:
            self.span = span
        if wrapped is not _UNSET:
            self.wrapped = wrapped
        self.sizes = [] if sizes is _UNSET else sizes
        if data is not _UNSET:
            self.data = data
        if ratio is not _UNSET:
            self.ratio = ratio
        if nothing is not _UNSET:
            self._f18 = nothing
        if flag is not _UNSET:
            self.flag = flag

    def write_Tree(self):
        out = []
        o0 = self._o0
        v = self.name
        if v:
            x = v.encode()
            n = len(x)
            out += (b"\n", _SMALL[n] if n < 4096 else _varint(n), x)
        v = self.count
        if v:
            out += (b"\x10", _SMALL[v] if 0 <= v < 4096 else _int64(v))
        v = self._f3
        if v is not None:
            x = v._write_()
            if x or v._serialized_on_wire:
                n = len(x)
                out += (b"\x1a", _SMALL[n] if n < 4096 else _varint(n), x)
        for v in self.leaves or ():
            x = v._write_()
            n = len(x)
            out += (b'"', _SMALL[n] if n < 4096 else _varint(n), x)
        for k, v in (self.named or {}).items():
            e = []
            x = k.encode()
            n = len(x)
            e += (b"\n", _SMALL[n] if n < 4096 else _varint(n), x)
            x = v._write_()
            n = len(x)
            e += (b"\x12", _SMALL[n] if n < 4096 else _varint(n), x)
            x = b"".join(e)
            n = len(x)
            out += (b"*", _SMALL[n] if n < 4096 else _varint(n), x)
        for k, v in (self.texts or {}).items():
            e = []
            e += (b"\x08", _SMALL[k] if 0 <= k < 4096 else _int32(k))
            x = v.encode()
            n = len(x)
            e += (b"\x12", _SMALL[n] if n < 4096 else _varint(n), x)
            x = b"".join(e)
            n = len(x)
            out += (b"2", _SMALL[n] if n < 4096 else _varint(n), x)
        v = self.maybe
        if v is not None:
            out += (b"8", _SMALL[v] if 0 <= v < 4096 else _int32(v))
        v = self.mood
        if v:
            out += (b"@", _SMALL[v] if 0 <= v < 4096 else _int32(v))
        if o0 == 9:
            v = self._v0
            x = v.encode()
            n = len(x)
            out += (b"J", _SMALL[n] if n < 4096 else _varint(n), x)
        if o0 == 10:
            v = self._v0
            x = v._write_()
            n = len(x)
            out += (b"R", _SMALL[n] if n < 4096 else _varint(n), x)
        if o0 == 11:
            v = self._v0
            out += (b"X", _SMALL[v] if 0 <= v < 4096 else _int32(v))
        v = self.moment
        if v is not _EPOCH and v is not None:
            x = _timestamp(v)
            n = len(x)
            out += (b"b", _SMALL[n] if n < 4096 else _varint(n), x)
        v = self.span
        if v is not _NOTHING and v is not None:
            x = _duration(v)
            n = len(x)
            out += (b"j", _SMALL[n] if n < 4096 else _varint(n), x)
        v = self.wrapped
        if v is not None:
            x = _wrapper("int32", v)
            n = len(x)
            out += (b"r", _SMALL[n] if n < 4096 else _varint(n), x)
        v = self.sizes
        if v:
            x = b"".join([_SMALL[i] if 0 <= i < 4096 else _int32(i) for i in v])
            n = len(x)
            out += (b"z", _SMALL[n] if n < 4096 else _varint(n), x)
        v = self.data
        if v:
            n = len(v)
            out += (b"\x82\x01", _SMALL[n] if n < 4096 else _varint(n), v)
        v = self.ratio
        if v or _negative_zero(v):
            out += (b"\x89\x01", _pack_double(v))
        v = self._f18
        if v is not None:
            x = v._write_()
            if x or v._serialized_on_wire:
                n = len(x)
                out += (b"\x92\x01", _SMALL[n] if n < 4096 else _varint(n), x)
        if self.flag:
            out.append(b"\x98\x01\x01")
        v = self._unknown_fields
        if v:
            out.append(v)
        return b"".join(out)

    def read_Tree(self, data, p, end, depth, fresh):
        if depth > _LIMIT:
            raise _DecodeError(f"messages are nested deeper than {_LIMIT}")
        self._present = True
        unknown = None
        if fresh:
            self.leaves = l4 = []
            self.named = l5 = {}
            self.texts = l6 = {}
            self.sizes = l15 = []
        else:
            l4 = self.leaves
            l5 = self.named
            l6 = self.texts
            l15 = self.sizes
        while p < end:
            start = p
            t = data[p]
            p += 1
            if t > 127:
                t += (data[p] << 7) - 128
                p += 1
                if t > 16383:
                    t, p = _tag(data, start)
            if t == 10:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                self.name = data[p:q].decode()
                p = q
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 16:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                    n = _signed64(n)
                self.count = n
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 26:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                v = self._f3
                if v is None:
                    v = _new(Leaf)
                    self._f3 = v
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
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 34:
                while True:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    v = _new(Leaf)
                    v._read_(data, p, q, depth + 1, True)
                    l4.append(v)
                    p = q
                    if p >= end:
                        t = -1
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t += (data[p] << 7) - 128
                        p += 1
                        if t > 16383:
                            t, p = _tag(data, start)
                    if t != 34:
                        break
                if t < 0:
                    break
            if t == 42:
                while True:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    k = ""
                    w = None
                    while p < q:
                        c = data[p]
                        p += 1
                        if c == 10:
                            n = data[p]
                            p += 1
                            if n > 127:
                                n, p = _read_varint(data, p - 1)
                            r = p + n
                            k = data[p:r].decode()
                            p = r
                        elif c == 18:
                            n = data[p]
                            p += 1
                            if n > 127:
                                n, p = _read_varint(data, p - 1)
                            r = p + n
                            v = w
                            if v is None:
                                v = _new(Leaf)
                                w = v
                                v._read_(data, p, r, depth + 1, True)
                            else:
                                v._read_(data, p, r, depth + 1, False)
                            p = r
                        else:
                            if c > 127:
                                c, p = _tag(data, p - 1)
                            p = _skip(data, p, c, q, depth)
                    if p != q:
                        raise _DecodeError("a field is longer than its message")
                    if w is None:
                        w = Leaf()
                    l5[k] = w
                    if p >= end:
                        t = -1
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t += (data[p] << 7) - 128
                        p += 1
                        if t > 16383:
                            t, p = _tag(data, start)
                    if t != 42:
                        break
                if t < 0:
                    break
            if t == 50:
                while True:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                    q = p + n
                    k = 0
                    w = ""
                    while p < q:
                        c = data[p]
                        p += 1
                        if c == 8:
                            n = data[p]
                            p += 1
                            if n > 127:
                                n, p = _read_varint(data, p - 1)
                                n = _signed32(n)
                            k = n
                        elif c == 18:
                            n = data[p]
                            p += 1
                            if n > 127:
                                n, p = _read_varint(data, p - 1)
                            r = p + n
                            w = data[p:r].decode()
                            p = r
                        else:
                            if c > 127:
                                c, p = _tag(data, p - 1)
                            p = _skip(data, p, c, q, depth)
                    if p != q:
                        raise _DecodeError("a field is longer than its message")
                    l6[k] = w
                    if p >= end:
                        t = -1
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t += (data[p] << 7) - 128
                        p += 1
                        if t > 16383:
                            t, p = _tag(data, start)
                    if t != 50:
                        break
                if t < 0:
                    break
            if t == 56:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                    n = _signed32(n)
                self.maybe = n
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 64:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                    n = _signed32(n)
                v = Mood._value_map_.get(n)
                if v is None:
                    v = Mood.try_value(n)
                self.mood = v
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 74:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                self._v0 = data[p:q].decode()
                self._o0 = 9
                p = q
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 82:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                v = self._v0 if self._o0 == 10 else None
                if v is None:
                    v = _new(Leaf)
                    self._v0 = v
                    self._o0 = 10
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
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 88:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                    n = _signed32(n)
                self._v0 = n
                self._o0 = 11
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 98:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                v = self.moment
                v = _read_timestamp(data, p, q, depth + 1, v)
                self.moment = v
                p = q
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 106:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                v = self.span
                v = _read_duration(data, p, q, depth + 1, v)
                self.span = v
                p = q
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 114:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                v = self.wrapped
                v = _read_wrapper("int32", data, p, q, depth + 1, v)
                self.wrapped = v
                p = q
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 122:
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
                        l15 += x
                        p = q
                    else:
                        while p < q:
                            n = data[p]
                            p += 1
                            if n > 127:
                                n, p = _read_varint(data, p - 1)
                                n = _signed32(n)
                            l15.append(n)
                        if p != q:
                            raise _DecodeError("a number is longer than its list")
                    if p >= end:
                        t = -1
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t += (data[p] << 7) - 128
                        p += 1
                        if t > 16383:
                            t, p = _tag(data, start)
                    if t != 122:
                        break
                if t < 0:
                    break
            if t == 120:
                while True:
                    n = data[p]
                    p += 1
                    if n > 127:
                        n, p = _read_varint(data, p - 1)
                        n = _signed32(n)
                    l15.append(n)
                    if p >= end:
                        t = -1
                        break
                    start = p
                    t = data[p]
                    p += 1
                    if t > 127:
                        t += (data[p] << 7) - 128
                        p += 1
                        if t > 16383:
                            t, p = _tag(data, start)
                    if t != 120:
                        break
                if t < 0:
                    break
            if t == 130:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                self.data = data[p:q]
                p = q
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 137:
                self.ratio = _unpack_double(data, p)[0]
                p += 8
                if p >= end:
                    break
                start = p
                t = data[p]
                p += 1
                if t > 127:
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 146:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                q = p + n
                v = self._f18
                if v is None:
                    v = _new(Nothing)
                    self._f18 = v
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
                    t += (data[p] << 7) - 128
                    p += 1
                    if t > 16383:
                        t, p = _tag(data, start)
            if t == 152:
                n = data[p]
                p += 1
                if n > 127:
                    n, p = _read_varint(data, p - 1)
                self.flag = n != 0
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
