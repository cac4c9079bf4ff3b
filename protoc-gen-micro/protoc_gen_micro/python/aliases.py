"""How a message module reaches its names, whatever a .proto calls its own things.

What the module defines, and what it hands on of others, can have the name of a builtin, and hides that from there on.
"""

from __future__ import annotations

from protoc_gen_micro.python.scopes import MESSAGE_MEMBERS, own_names
from protoc_gen_micro.python.text import layout, literal
from protoc_gen_micro.schema.model import File
from protoc_gen_micro.schema.names import unused

__all__ = ["alias_lines", "builtins_of", "globals_of"]


def builtins_of(file: File) -> str:
    """Returns what the message module of a file calls ``builtins``; empty when it does not need that module."""
    return unused("_builtins", set(own_names(file))) if file.aliases or file.public_dependencies else ""


def globals_of(file: File) -> str:
    """Returns how the message module of a file calls ``globals``."""
    module = builtins_of(file)
    return f"{module}.globals()" if module else "globals()"


def alias_lines(file: File) -> list[str]:
    """Returns the lines that give names which Python can write to the types whose names are keywords."""
    lines: list[str] = []
    for outer, name, alias in file.aliases:
        if outer:
            top, dot, inner = outer.partition(".")
            holder = f"{globals_of(file)}[{literal(top)}]"
            # protobuf's Python implementation gives a nested class no attribute if a method of messages has its name.
            for nested in inner.split(".") if dot else ():
                hidden = f"DESCRIPTOR.nested_types_by_name[{literal(nested)}]._concrete_class"
                holder += f".{hidden if nested in MESSAGE_MEMBERS else nested}"
            arguments = [holder, literal(name)]
            lines.append(layout(f"{holder}.{alias} = {builtins_of(file)}.getattr(", arguments, ")"))
        else:
            lines.append(f"{alias} = {globals_of(file)}[{literal(name)}]")
    return lines
