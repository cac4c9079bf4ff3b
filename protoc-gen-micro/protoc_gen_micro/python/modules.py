"""Where the modules of .proto files are, as one generated module must know it of the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from protoc_gen_micro.schema.names import KEYWORDS, module_name, protoc_module_name

__all__ = ["Modules", "shipped", "typed_by_typeshed", "unimportable"]


class Modules(NamedTuple):
    """The modules of one run.

    Attributes:
        exports: the names that a star import of each .proto file's module brings.
        package: the Python package that the output folder is, or empty when it is not known.
        map: what was generated elsewhere: (folder, package) or (.proto file, module).
        ours: whether this plugin writes the message modules, and so names them.
        suffix: what the names of message modules end with.
    """

    exports: Mapping[str, frozenset[str]]
    package: str = ""
    map: tuple[tuple[str, str], ...] = ()
    ours: bool = True
    suffix: str = "_pb2"

    def name(self, path: str, suffix: str = "") -> str:
        """Returns the name of the module of a .proto file, seen from the output folder."""
        suffix = suffix or self.suffix
        if self.ours:
            return module_name(path, suffix, inside=bool(self.package))
        return protoc_module_name(path, suffix)

    def absolute(self, path: str) -> str:
        """Returns the full name of the module of a .proto file, or empty when nobody knows it."""
        if shipped(path):
            return self._shipped(path)
        mapped = self.mapped(path)
        if mapped:
            return mapped
        return f"{self.package}.{self.name(path)}" if self.package else ""

    def mapped(self, path: str) -> str:
        """Returns the module of a .proto file that was generated elsewhere, or empty; the longest entry wins."""
        found = target = ""
        for source, package in self.map:
            if len(source) > len(found) and (path == source or path.startswith(f"{source}/")):
                found, target = source, package
        if not found or found == path:
            return target
        return f"{target}.{module_name(path[len(found) + 1 :], self.suffix, inside=True)}"

    def _shipped(self, path: str) -> str:
        if self.suffix == "_pb2":
            return protoc_module_name(path, "_pb2")
        # betterproto has one module for all of a package, and so all of these.
        return f"betterproto.lib.std.{path.rpartition('/')[0].replace('/', '.')}"


def shipped(path: str) -> bool:
    """Returns whether a .proto file comes with a library, which then has its module: nobody generates it again."""
    return path.startswith(_SHIPPED)


def typed_by_typeshed(path: str) -> bool:
    """Returns whether the types of a .proto file's module are those of types-protobuf.

    mypy-protobuf writes them, and in its stubs ``Syntax.ValueType`` is the type of the values of ``Syntax``.
    """
    return path.startswith("google/protobuf/") and shipped(path)


_SHIPPED = ("google/protobuf/", "micro_rt/")


def unimportable(module: str) -> str:
    """Returns the part of a module's name that no ``import`` can be written with, or an empty string."""
    for part in module.split("."):
        if part in KEYWORDS or not part.isidentifier():
            return part or module
    return ""
