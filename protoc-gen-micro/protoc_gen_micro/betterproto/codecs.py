"""What ``codecs.py.j2`` writes: the constructors, encoders and decoders of the messages of one file.

They are in a module of their own, because nobody reads them and because a program uses few of the messages that it
imports. The runtime loads that module when the first message of the file is made, encoded or decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from protoc_gen_micro.betterproto.classes import Classes
from protoc_gen_micro.betterproto.unrolled import HELPERS, Unrolled, kind_of
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.text import WIDTH, layout
from protoc_gen_micro.schema.model import Field, File, Message

__all__ = ["SUFFIX", "Codecs"]

SUFFIX = "_codec"
"""What the name of this module has behind that of the module with the messages; the runtime knows it too."""


class Codecs:
    """The codecs of one file in the betterproto dialect.

    Args:
        file: the file, in the dialect.
        modules: where the modules are.
        classes: the classes of the same file.

    Attributes:
        imports: the lines that import what the code calls, and the classes from a module in a known package.
        inside: the lines that import the classes inside a package, where that is decided at run time; or empty.
        outside: the same for the import root.
    """

    def __init__(self, file: File, modules: Modules, classes: Classes) -> None:
        self._classes = classes
        self._used: set[str] = set()
        self._code = {
            message.type_name.full_name: _Code.of(
                Unrolled(message, classes.names[message.type_name.full_name], self._class_name)
            )
            for message in file.messages
        }
        self.imports = self._functions()
        self.inside = self.outside = ""
        self._import_classes(modules, modules.name(file.path))

    def head(self, message: Message) -> str:
        """Returns how the constructor of a message begins."""
        return layout(f"def init_{message.name}(", self._code[message.type_name.full_name].parameters, "):", 1)

    def constructor(self, message: Message) -> list[str]:
        """Returns the body of the constructor of a message."""
        return self._code[message.type_name.full_name].constructor

    def writer(self, message: Message) -> list[str]:
        """Returns the body of the encoder of a message."""
        return self._code[message.type_name.full_name].writer

    def reader(self, message: Message) -> list[str]:
        """Returns the body of the decoder of a message."""
        return self._code[message.type_name.full_name].reader

    def _class_name(self, field: Field) -> str:
        name = self._classes.class_name(field)
        if kind_of(field) in ("message", "enum"):
            self._used.add(name)
        return name

    def _import_classes(self, modules: Modules, module: str) -> None:
        """Plans to import classes from the module with the messages, which is in the same folder."""
        names = sorted(self._used)
        own = module.rpartition(".")[2]
        if not names:
            return
        if modules.package:
            self.imports.append(_import(f"{modules.package}.{module}", names, 1))
        elif "." in module:
            self.imports.append(_import(f".{own}", names, 1))
        else:
            self.inside, self.outside = _import(f".{own}", names, 2), _import(own, names, 2)

    def _functions(self) -> list[str]:
        used: set[str] = set()
        for code in self._code.values():
            for lines in code:
                used.update(_HELPER.findall("\n".join(set(lines))))
        by_module: dict[str, list[str]] = {}
        for name in sorted(used & HELPERS.keys(), key=lambda name: HELPERS[name]):
            module, _, original = HELPERS[name].partition(".")
            by_module.setdefault(f"micro_rt.dialects.{module}", []).append(f"{original} as {name}")
        return [_import(module, names, 1) for module, names in sorted(by_module.items())]


class _Code(NamedTuple):
    """The methods of one message."""

    parameters: list[str]
    constructor: list[str]
    writer: list[str]
    reader: list[str]

    @classmethod
    def of(cls, unrolled: Unrolled) -> _Code:
        constructor = list(_wrapped(unrolled.constructor()))
        return cls(unrolled.parameters, constructor, unrolled.writer(), unrolled.reader())


_HELPER = re.compile(r"\b_[a-zA-Z]\w+")


def _import(module: str, names: list[str], levels: int) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) + 4 * levels <= WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _wrapped(lines: list[str]) -> Iterator[str]:
    """Yields lines of a method's body, with assignments that are too long as the formatters write them."""
    for line in lines:
        target, equals, value = line.partition(" = ")
        if len(line) + 8 <= WIDTH or not equals:
            yield line
            continue
        blank = line[: len(line) - len(line.lstrip())]
        yield f"{target} = ("
        if len(blank) + len(value) + 12 <= WIDTH:
            yield f"{blank}    {value}"
        else:
            first, _, rest = value.partition(" if ")
            condition, _, last = rest.partition(" else ")
            yield from (f"{blank}    {part}" for part in (first, f"if {condition}", f"else {last}"))
        yield f"{blank})"
