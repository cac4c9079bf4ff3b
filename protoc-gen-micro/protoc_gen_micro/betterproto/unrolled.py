"""Encoders and decoders of single messages, written out field by field: what ``codecs.py.j2`` writes.

A decoder goes through the fields in the order of their numbers, as encoders write them: behind each field it reads the
next tag and goes on to the next comparison, so that a message costs one pass, however many fields it has. A field
that comes out of order makes it start over. Lengths are not checked one by one: a field that is too long ends
behind its message, and that is checked once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from protoc_gen_micro.python.text import bytes_literal
from protoc_gen_micro.schema.model import Field, Message

__all__ = ["HELPERS", "Unrolled", "kind_of", "wrapped"]

HELPERS = {
    "_DecodeError": "wire.DecodeError",
    "_EPOCH": "known.EPOCH",
    "_LIMIT": "wire.LIMIT",
    "_NOTHING": "known.NOTHING",
    "_SMALL": "wire.SMALL",
    "_UNSET": "fields.UNSET",
    "_bool": "wire.boolean",
    "_checked": "fields.checked",
    "_duration": "known.duration",
    "_float32": "wire.float32",
    "_given": "fields.given",
    "_int32": "wire.int32",
    "_int64": "wire.int64",
    "_negative_zero": "wire.negative_zero",
    "_new": "fields.new",
    "_pack_bools": "wire.pack_bools",
    "_pack_double": "wire.pack_double",
    "_pack_fixed32": "wire.pack_fixed32",
    "_pack_fixed64": "wire.pack_fixed64",
    "_pack_many": "wire.pack_many",
    "_pack_sfixed32": "wire.pack_sfixed32",
    "_pack_sfixed64": "wire.pack_sfixed64",
    "_read_duration": "known.read_duration",
    "_read_foreign": "foreign.read",
    "_read_timestamp": "known.read_timestamp",
    "_read_varint": "wire.read_varint",
    "_read_wrapper": "known.read_wrapper",
    "_signed32": "wire.signed32",
    "_signed64": "wire.signed64",
    "_sint32": "wire.sint32",
    "_sint64": "wire.sint64",
    "_skip": "wire.skip",
    "_tag": "wire.tag",
    "_timestamp": "known.timestamp",
    "_uint32": "wire.uint32",
    "_uint64": "wire.uint64",
    "_unpack_double": "wire.unpack_double",
    "_unpack_fixed32": "wire.unpack_fixed32",
    "_unpack_fixed64": "wire.unpack_fixed64",
    "_unpack_float": "wire.unpack_float",
    "_unpack_many": "wire.unpack_many",
    "_unpack_sfixed32": "wire.unpack_sfixed32",
    "_unpack_sfixed64": "wire.unpack_sfixed64",
    "_varint": "wire.varint",
    "_wrapper": "known.wrapper",
    "_write_foreign": "foreign.encode",
}
"""What the written code calls, and where that is in ``micro_rt.dialects``."""


class Unrolled(NamedTuple):
    """Writes the methods of one message.

    Attributes:
        message: the message, as the dialect has it.
        names: the attributes of its fields.
        type_name: returns how the module writes the class of a field.
    """

    message: Message
    names: Mapping[str, str]
    type_name: Callable[[Field], str]

    def constructor(self) -> list[str]:
        """Returns the body of the constructor."""
        me = self.receiver
        lines: list[str] = []
        for field in self.message.fields:
            name = self.names[field.name]
            if field.repeated or field.map_key:
                lines.append(f"{me}.{name} = {'{}' if field.map_key else '[]'} if {name} is _UNSET else {name}")
                continue
            value = f"_given({name})" if _is_empty(field) else name
            lines += [f"if {name} is not _UNSET:", f"    {me}.{self._attribute(field)} = {value}"]
        return lines or ["pass"]

    @property
    def parameters(self) -> list[str]:
        """Returns the parameters of the constructor."""
        return [self.receiver, *(f"{self.names[field.name]}=_UNSET" for field in self.message.fields)]

    @property
    def receiver(self) -> str:
        """Returns the name of the instance in the constructor: ``self``, unless a field is called so."""
        return "_self" if "self" in self.names.values() else "self"

    def writer(self) -> list[str]:
        """Returns the body of ``_write_``."""
        lines = ["out = []"]
        lines += [f"o{index} = self._o{index}" for index in range(len(self.message.oneofs))]
        for field in sorted(self.message.fields, key=lambda field: field.number):
            lines += self._write(field)
        return [*lines, "v = self._unknown_fields", "if v:", "    out.append(v)", 'return b"".join(out)']

    def reader(self) -> list[str]:
        """Returns the body of ``_read_``."""
        fields = sorted(self.message.fields, key=lambda field: field.number)
        lines: list[str] = []
        if any(kind_of(field) == "message" for field in fields):
            deep = 'raise _DecodeError(f"messages are nested deeper than {_LIMIT}")'
            lines += ["if depth > _LIMIT:", f"    {deep}"]
        lines += ["self._present = True", "unknown = None"]
        many = [field for field in fields if field.repeated or field.map_key]
        if many:
            lines.append("if fresh:")
            for field in many:
                empty = "{}" if field.map_key else "[]"
                lines.append(f"    self.{self.names[field.name]} = l{field.number} = {empty}")
            lines.append("else:")
            lines += [f"    l{field.number} = self.{self.names[field.name]}" for field in many]
        body = list(self._next_tag())
        for index, field in enumerate(fields):
            for tag, read in self._readings(field):
                body += self._branch(tag, read, field, index == len(fields) - 1)
        if fields:
            body += ["if t in self._tags_:", "    p = start", "    continue"]
        body += [
            "p = _skip(data, p, t, end, depth)",
            "if unknown is None:",
            "    unknown = []",
            "unknown.append(data[start:p])",
        ]
        lines += ["while p < end:", *_block(body)]
        lines += ["if p != end:", '    raise _DecodeError("a field is longer than its message")']
        return [*lines, "if unknown:", '    self._unknown_fields += b"".join(unknown)']

    def _attribute(self, field: Field) -> str:
        if not field.oneof and kind_of(field) == "message" and not field.optional:
            return f"_f{field.number}"
        return self.names[field.name]

    def _oneof(self, field: Field) -> int:
        return [oneof.name for oneof in self.message.oneofs].index(field.oneof)

    # Writing.

    def _write(self, field: Field) -> list[str]:
        kind = kind_of(field)
        name = f"self.{self.names[field.name]}"
        if field.map_key:
            return [f"for k, v in ({name} or {{}}).items():", *_block(self._write_entry(field))]
        if field.repeated and field.packed:
            expression = _packed(kind)
            return [f"v = {name}", "if v:", *_block([f"x = {expression}", *_append(_key(field.number, 2), "x")])]
        if field.repeated:
            return [f"for v in {name} or ():", *_block(self._write_value(field, field.number, "out"))]
        value = self._write_value(field, field.number, "out")
        if field.oneof:
            index = self._oneof(field)
            return [f"if o{index} == {field.number}:", *_block([f"v = self._v{index}", *value])]
        if kind == "message" and not field.optional:
            payload, rest = value[0], value[1:]
            inner = [payload, "if x or v._serialized_on_wire:", *_block(rest)]
            return [f"v = self._f{field.number}", "if v is not None:", *_block(inner)]
        if kind in ("timestamp", "duration") and not field.optional:
            default = "_EPOCH" if kind == "timestamp" else "_NOTHING"
            return [f"v = {name}", f"if v is not {default} and v is not None:", *_block(value)]
        if field.has_presence:
            return [f"v = {name}", "if v is not None:", *_block(value)]
        if kind == "bool":
            true = f"out.append({bytes_literal(_key(field.number, 0) + bytes((1,)))})"
            return [f"v = {name}", "if v:", *_block(["if v is not True:", "    _bool(v)", true])]
        test = "v or _negative_zero(v)" if kind in ("float", "double") else "v"
        return [f"v = {name}", f"if {test}:", *_block(value)]

    def _write_value(self, field: Field, number: int, out: str) -> list[str]:
        """Returns what appends the value ``v`` to a list, behind its tag."""
        kind = kind_of(field)
        key = _key(number, _WIRE_TYPES.get(kind, 0))
        if kind == "string":
            return ["x = v.encode()", *_append(key, "x", out)]
        if kind == "bytes":
            return _append(key, "v", out)
        payload = self._payload(field)
        if payload:
            return [f"x = {payload}", *_append(key, "x", out)]
        return [f"{out} += ({bytes_literal(key)}, {_number(kind, 'v')})"]

    def _payload(self, field: Field) -> str:
        match kind_of(field):
            case "message":
                kind = self.type_name(field)
                if _foreign(field):
                    return f"_write_foreign(v, {kind})"
                return f"(v if v.__class__ is {kind} else _checked(v, {kind}))._write_()"
            case "timestamp":
                return "_timestamp(v)"
            case "duration":
                return "_duration(v)"
            case "wrapper":
                return f'_wrapper("{wrapped(field)}", v)'
            case _:
                return ""

    def _write_entry(self, field: Field) -> list[str]:
        key = field._replace(type=field.map_key, type_name=None, map_key="")
        lines = ["e = []"]
        lines += [line.replace("v.encode", "k.encode") for line in self._write_value(key, 1, "e")]
        if field.map_key != "string":
            lines[-1] = (
                f"e += ({bytes_literal(_key(1, _WIRE_TYPES.get(field.map_key, 0)))}, {_number(field.map_key, 'k')})"
            )
        lines += self._write_value(field._replace(map_key=""), 2, "e")
        return [*lines, 'x = b"".join(e)', *_append(_key(field.number, 2), "x")]

    # Reading.

    def _next_tag(self) -> list[str]:
        lines = ["start = p", "t = data[p]", "p += 1", "if t > 127:"]
        if any(field.number > 15 for field in self.message.fields):
            # A tag of two bytes, without a call.
            return [*lines, "    t += (data[p] << 7) - 128", "    p += 1", "    if t > 16383:", *_block(_LONG_TAG, 2)]
        return [*lines, *_block(_LONG_TAG)]

    def _branch(self, tag: int, read: list[str], field: Field, last: bool) -> list[str]:
        """Returns the comparison with one tag, what is read behind it, and the step to the next field."""
        if field.repeated or field.map_key:
            body = [*read, "if p >= end:", "    t = -1", "    break", *self._next_tag(), f"if t != {tag}:", "    break"]
            return [f"if t == {tag}:", "    while True:", *_block(body, 2), "    if t < 0:", "        break"]
        if last:
            return [f"if t == {tag}:", *_block([*read, "continue"])]
        return [f"if t == {tag}:", *_block([*read, "if p >= end:", "    break", *self._next_tag()])]

    def _readings(self, field: Field) -> list[tuple[int, list[str]]]:
        """Returns the tags that a field may have, and what reads it behind each of them."""
        kind = kind_of(field)
        wire_type = _WIRE_TYPES.get(kind, 0)
        tag = field.number << 3 | wire_type
        if field.map_key:
            return [(field.number << 3 | 2, self._read_entry(field))]
        if field.repeated:
            single = self._read_value(field, lambda value: [f"l{field.number}.append({value})"], "None")
            if wire_type == 2:
                return [(tag, single)]
            packed = field.number << 3 | 2, self._read_packed(field)
            return sorted([(tag, single), packed], key=lambda reading: (reading[0] & 7 == 2) != field.packed)
        if field.oneof:
            index = self._oneof(field)

            def assign(value: str) -> list[str]:
                # The value may look at the old one, so it comes first.
                return [f"self._v{index} = {value}", f"self._o{index} = {field.number}"]

            previous = f"self._v{index} if self._o{index} == {field.number} else None"
            return [(tag, self._read_value(field, assign, previous))]
        attribute = f"self.{self._attribute(field)}"
        return [(tag, self._read_value(field, lambda value: [f"{attribute} = {value}"], attribute))]

    def _read_value(self, field: Field, assign: Callable[[str], list[str]], previous: str) -> list[str]:
        """Returns what reads one value.

        Args:
            field: the field.
            assign: returns what puts an expression where it belongs.
            previous: the expression for what the field holds already, for what is merged with it.
        """
        kind = kind_of(field)
        if kind in _FIXED:
            name, size = _FIXED[kind]
            return [*assign(f"{name}(data, p)[0]"), f"p += {size}"]
        if kind not in _WIRE_TYPES:
            return [*_read_number(kind), *self._assign_number(field, assign)]
        lines = list(_LENGTH)
        if kind == "string":
            return [*lines, *assign("data[p:q].decode()"), "p = q"]
        if kind == "bytes":
            return [*lines, *assign("data[p:q]"), "p = q"]
        arguments = "data, p, q, depth + 1"
        class_name = self.type_name(field)
        if kind != "message" or _foreign(field):
            function = {"wrapper": "wrapper", "message": "foreign"}.get(kind, kind)
            first = {"wrapper": f'"{wrapped(field)}", ', "message": f"{class_name}, "}.get(kind, "")
            call = f"v = _read_{function}({first}{arguments}, v)"
            return [*lines, f"v = {previous}", call, *assign("v"), "p = q"]
        if previous == "None":
            return [*lines, f"v = _new({class_name})", f"v._read_({arguments}, True)", *assign("v"), "p = q"]
        return [
            *lines,
            f"v = {previous}",
            "if v is None:",
            f"    v = _new({class_name})",
            *_block(assign("v")),
            f"    v._read_({arguments}, True)",
            "else:",
            f"    v._read_({arguments}, False)",
            "p = q",
        ]

    def _assign_number(self, field: Field, assign: Callable[[str], list[str]]) -> list[str]:
        match kind_of(field):
            case "bool":
                return assign("n != 0")
            case "sint32" | "sint64":
                return assign("n >> 1 ^ -(n & 1)")
            case "enum":
                class_name = self.type_name(field)
                find = f"v = {class_name}._value_map_.get(n)"
                return [find, "if v is None:", f"    v = {class_name}.try_value(n)", *assign("v")]
            case _:
                return assign("n")

    def _read_packed(self, field: Field) -> list[str]:
        kind = kind_of(field)
        lines = [*_LENGTH, "if q > end:", '    raise _DecodeError("a field is longer than its message")']
        items = f"l{field.number}"
        if kind in _FIXED:
            return [*lines, f'{items} += _unpack_many("{_FORMATS[kind]}", data, p, q)', "p = q"]
        one_by_one = [*_read_number(kind), *self._assign_number(field, lambda value: [f"{items}.append({value})"])]
        loop = [
            "while p < q:",
            *_block(one_by_one),
            "if p != q:",
            '    raise _DecodeError("a number is longer than its list")',
        ]
        if kind not in ("int32", "int64", "uint32", "uint64"):
            return [*lines, *loop]
        # Numbers below 128 are their own bytes.
        return [*lines, "x = data[p:q]", "if x.isascii():", f"    {items} += x", "    p = q", "else:", *_block(loop)]

    def _read_entry(self, field: Field) -> list[str]:
        key = field._replace(type=field.map_key, type_name=None, map_key="")
        value = field._replace(map_key="")
        kind = kind_of(value)
        merged = kind in ("message", "timestamp", "duration", "wrapper")
        default = "None" if merged else self._default(value)
        value_tag = 16 | _WIRE_TYPES.get(kind, 0)
        # Inside an entry, q is where the entry ends.
        read_key = _inside(self._read_value(key, lambda text: [f"k = {text}"], "k"))
        read_value = _inside(self._read_value(value, lambda text: [f"w = {text}"], "w"))
        lines = [
            *_LENGTH,
            f"k = {_SCALAR_DEFAULTS[field.map_key]}",
            f"w = {default}",
            "while p < q:",
            "    c = data[p]",
            "    p += 1",
            f"    if c == {8 | _WIRE_TYPES.get(field.map_key, 0)}:",
            *_block(read_key, 2),
            f"    elif c == {value_tag}:",
            *_block(read_value, 2),
            "    else:",
            "        if c > 127:",
            "            c, p = _tag(data, p - 1)",
            "        p = _skip(data, p, c, q, depth)",
            "if p != q:",
            '    raise _DecodeError("a field is longer than its message")',
        ]
        if merged:
            lines += ["if w is None:", f"    w = {self._missing(value)}"]
        return [*lines, f"l{field.number}[k] = w"]

    def _default(self, field: Field) -> str:
        if kind_of(field) == "enum":
            return f"{self.type_name(field)}.try_value(0)"
        return _SCALAR_DEFAULTS[kind_of(field)]

    def _missing(self, field: Field) -> str:
        """Returns the value of an entry of a map that has none."""
        match kind_of(field):
            case "timestamp":
                return "_EPOCH"
            case "duration":
                return "_NOTHING"
            case "wrapper":
                return _SCALAR_DEFAULTS[wrapped(field)]
            case _:
                return f"{self.type_name(field)}()"


def kind_of(field: Field) -> str:
    """Returns the type of a field, with the well-known types that are no messages in the dialect."""
    if field.type_name is None or field.type != "message":
        return field.type
    if wrapped(field):
        return "wrapper"
    return _KNOWN.get(field.type_name.full_name, "message")


def wrapped(field: Field) -> str:
    """Returns the type in a wrapper such as ``google.protobuf.Int32Value``, or empty for any other field."""
    return _WRAPPERS.get(field.type_name.full_name, "") if field.type_name else ""


_KNOWN = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}
_WRAPPERS = {
    f"google.protobuf.{name}Value": name.lower()
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
}
_WIRE_TYPES = {
    **dict.fromkeys(("double", "fixed64", "sfixed64"), 1),
    **dict.fromkeys(("string", "bytes", "message", "timestamp", "duration", "wrapper"), 2),
    **dict.fromkeys(("float", "fixed32", "sfixed32"), 5),
}
"""The wire types of what is not a varint."""
_FIXED = {
    "double": ("_unpack_double", 8),
    "fixed64": ("_unpack_fixed64", 8),
    "sfixed64": ("_unpack_sfixed64", 8),
    "float": ("_unpack_float", 4),
    "fixed32": ("_unpack_fixed32", 4),
    "sfixed32": ("_unpack_sfixed32", 4),
}
_FORMATS = {"double": "d", "fixed64": "Q", "sfixed64": "q", "float": "f", "fixed32": "I", "sfixed32": "i"}
_SCALAR_DEFAULTS = {
    **dict.fromkeys(("double", "float"), "0.0"),
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64"), "0"),
    **dict.fromkeys(("fixed32", "fixed64", "sfixed32", "sfixed64"), "0"),
    "bool": "False",
    "string": '""',
    "bytes": 'b""',
}
_FROM_LONG = {
    "int32": ["n = _signed32(n)"],
    "enum": ["n = _signed32(n)"],
    "int64": ["n = _signed64(n)"],
    "uint32": ["n &= 0xFFFFFFFF"],
    "sint32": ["n &= 0xFFFFFFFF"],
}
"""What is left to do with a varint of several bytes."""
_LENGTH = ("n = data[p]", "p += 1", "if n > 127:", "    n, p = _read_varint(data, p - 1)", "q = p + n")
_LONG_TAG = ("t, p = _tag(data, start)",)


def _read_number(kind: str) -> list[str]:
    lines = ["n = data[p]", "p += 1", "if n > 127:", "    n, p = _read_varint(data, p - 1)"]
    return [*lines, *_block(_FROM_LONG.get(kind, ()))]


def _inside(lines: list[str]) -> list[str]:
    """Returns what reads a value inside an entry of a map, whose end has the name that a value's has elsewhere."""
    return [
        line.replace("q = p + n", "r = p + n")
        .replace("p = q", "p = r")
        .replace("data[p:q]", "data[p:r]")
        .replace("data, p, q,", "data, p, r,")
        for line in lines
    ]


def _foreign(field: Field) -> bool:
    """Returns whether a message is one of betterproto's own."""
    return field.type_name is not None and field.type_name.file.startswith("google/protobuf/")


def _is_empty(field: Field) -> bool:
    return field.type_name is not None and field.type_name.full_name == "google.protobuf.Empty"


def _key(number: int, wire_type: int) -> bytes:
    """Returns the tag of a field, encoded."""
    value = number << 3 | wire_type
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _append(key: bytes, payload: str, out: str = "out") -> list[str]:
    return [
        f"n = len({payload})",
        f"{out} += ({bytes_literal(key)}, _SMALL[n] if n < 4096 else _varint(n), {payload})",
    ]


def _number(kind: str, value: str) -> str:
    match kind:
        case "bool":
            return f'b"\\x01" if {value} is True or {value} is not False and _bool({value}) else b"\\x00"'
        case "sint32" | "sint64":
            return f"_SMALL[{value} << 1] if 0 <= {value} < 2048 else _{kind}({value})"
        case "float":
            return f"_float32({value})"
        case _ if kind in _FIXED:
            return f"_pack_{kind}({value})"
        case _:
            return f"_SMALL[{value}] if 0 <= {value} < 4096 else _{'int32' if kind == 'enum' else kind}({value})"


def _packed(kind: str) -> str:
    if kind in _FORMATS:
        return f'_pack_many("{_FORMATS[kind]}", v)'
    if kind == "bool":
        return "_pack_bools(v)"
    return f'b"".join([{_number(kind, "i")} for i in v])'


def _block(lines: Iterable[str], levels: int = 1) -> list[str]:
    blank = "    " * levels
    return [blank + line for line in lines]
