"""How a message module reaches its names, whatever a .proto calls its own things.

What the module defines, and what it hands on of others, can have the name of a builtin, and hides that from there on.
"""

from __future__ import annotations

from protoc_gen_micro.python.imports import Imports
from protoc_gen_micro.python.scopes import MESSAGE_MEMBERS, own_names
from protoc_gen_micro.python.text import layout, literal
from protoc_gen_micro.schema.model import File
from protoc_gen_micro.schema.names import unused

__all__ = ["alias_lines", "builtins_of", "globals_of", "private_name"]


def private_name(name: str, imports: Imports) -> str:
    """Returns what a message module calls something that it imports for itself: a name that no star import brings."""
    return unused(name, imports.brought)


def builtins_of(file: File, imports: Imports | None = None) -> str:
    """Returns what the message module of a file calls ``builtins``; empty when it does not need that module.

    Args:
        file: the file.
        imports: those of the module; None, which is for templates of users, takes no account of what star imports bring.
    """
    if not file.aliases and not file.public_dependencies:
        return ""
    return unused("_builtins", {*own_names(file), *(imports.brought if imports else ())})


def globals_of(file: File, imports: Imports | None = None) -> str:
    """Returns how the message module of a file calls ``globals``."""
    module = builtins_of(file, imports)
    return f"{module}.globals()" if module else "globals()"


def alias_lines(file: File, imports: Imports | None = None) -> list[str]:
    """Returns the lines that give names which Python can write to the types whose names are keywords."""
    lines: list[str] = []
    for outer, name, alias in file.aliases:
        if outer:
            top, dot, inner = outer.partition(".")
            holder = f"{globals_of(file, imports)}[{literal(top)}]"
            # protobuf's Python implementation gives a nested class no attribute if a method of messages has its name.
            for nested in inner.split(".") if dot else ():
                hidden = f"DESCRIPTOR.nested_types_by_name[{literal(nested)}]._concrete_class"
                holder += f".{hidden if nested in MESSAGE_MEMBERS else nested}"
            arguments = [holder, literal(name)]
            lines.append(layout(f"{holder}.{alias} = {builtins_of(file, imports)}.getattr(", arguments, ")"))
        else:
            lines.append(f"{alias} = {globals_of(file, imports)}[{literal(name)}]")
    return lines
