"""Where the modules of .proto files are, as one generated module must know it of the others."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import NamedTuple

from protoc_gen_micro.python.shipped import BETTERPROTO, MICRO_RT, PROTOBUF, WELL_KNOWN
from protoc_gen_micro.schema.names import KEYWORDS, module_name, protoc_module_name

__all__ = ["Modules", "typed_by_typeshed", "unimportable"]


class Modules(NamedTuple):
    """The modules of one run.

    Attributes:
        exports: the names that a star import of each .proto file's module brings.
        package: the Python package that the output folder is, or empty when it is not known.
        map: what was generated elsewhere: (folder, package) or (.proto file, module).
        ours: whether this plugin writes the message modules, and so names them.
        suffix: what the names of message modules end with.
        public: the files that each .proto file hands on (``import public``), where there are any.
        defined: the names that each .proto file itself defines; only in the betterproto dialect.
        inside: whether the output folder is inside a package, so that modules import each other relatively.
        installed: the modules that installed distributions have for files which this run does not generate.
    """

    exports: Mapping[str, frozenset[str]]
    package: str = ""
    map: tuple[tuple[str, str], ...] = ()
    ours: bool = True
    suffix: str = "_pb2"
    public: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    defined: Mapping[str, AbstractSet[str]] = MappingProxyType({})
    inside: bool = False
    installed: Mapping[str, str] = MappingProxyType({})

    def name(self, path: str, suffix: str = "") -> str:
        """Returns the name of the module of a .proto file, seen from the output folder."""
        suffix = suffix or self.suffix
        if self.ours and path not in MICRO_RT:
            return module_name(path, suffix, inside=self.inside or bool(self.package))
        return protoc_module_name(path, suffix)

    def absolute(self, path: str) -> str:
        """Returns the full name of the module of a .proto file, or empty when nobody knows it."""
        found = self.elsewhere(path)
        if found:
            return found
        return f"{self.package}.{self.name(path)}" if self.package else ""

    def elsewhere(self, path: str) -> str:
        """Returns the full name of the module of a .proto file that the run does not generate, or empty if it does, or may.

        An entry of ``map=`` goes before the module that comes with a library, unless the entry is for all of ``google``.
        """
        return self.mapped(path) or self.shipped(path) or self.installed.get(path, "")

    def mapped(self, path: str) -> str:
        """Returns the module of a .proto file that was generated elsewhere, or empty; the longest entry wins."""
        found = target = ""
        for source, package in self.map:
            if len(source) > len(found) and (path == source or path.startswith(f"{source}/")):
                found, target = source, package
        if not found or found == path:
            return target
        if len(found) < len(WELL_KNOWN) and self.shipped(path):
            return ""
        return f"{target}.{module_name(path[len(found) + 1 :], self.suffix, inside=True)}"

    def shipped(self, path: str) -> str:
        """Returns the module of a .proto file that comes with the runtime of the messages or with micro-rt, or empty."""
        if self.suffix == "_pb2":
            return protoc_module_name(path, "_pb2") if path in PROTOBUF or path in MICRO_RT else ""
        if path in BETTERPROTO:
            # betterproto has one module for all of a package, and so all of these.
            return f"betterproto.lib.std.{path.rpartition('/')[0].replace('/', '.')}"
        return protoc_module_name(path, self.suffix) if path in MICRO_RT else ""


def typed_by_typeshed(path: str) -> bool:
    """Returns whether the types of a .proto file's module are those of types-protobuf.

    mypy-protobuf writes them, and in its stubs ``Syntax.ValueType`` is the type of the values of ``Syntax``.
    """
    return path in BETTERPROTO


def unimportable(module: str) -> str:
    """Returns the part of a module's name that no ``import`` can be written with, or an empty string."""
    for part in module.split("."):
        if part in KEYWORDS or not part.isidentifier():
            return part or module
    return ""
