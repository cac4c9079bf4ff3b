"""What the user asks of the generator: ``--micro_opt=messages=none,package=shop.api`` as one frozen value."""

from __future__ import annotations

from typing import NamedTuple

from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.schema.names import KEYWORDS

__all__ = ["Parameters"]


class Parameters(NamedTuple):
    """The options of a run.

    Attributes:
        messages: who writes the message classes: ``"protobuf"``, this plugin for the official runtime (the
            default), or ``"betterproto"``, this plugin as dataclasses, or ``"none"``, somebody else, such as
            protoc's ``--python_out`` in the same run.
        package: the Python package that the output folder is, so that modules import each other absolutely; ``"."``
            when it is one whose name does not matter, so that they import each other relatively; empty when they are to
            work wherever they are put.
        map: what was generated elsewhere: (folder, package) or (.proto file, module).
        templates: the folder with the user's own templates, or empty.
    """

    messages: str = "protobuf"
    package: str = ""
    map: tuple[tuple[str, str], ...] = ()
    templates: str = ""

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """Reads protoc's parameter string: ``"key=value,key=value"``; empty parts are skipped.

        >>> Parameters.parse("messages=none,map=google/rpc=google.rpc").map
        (('google/rpc', 'google.rpc'),)

        Without a package, the folder's own name is meant:

        >>> Parameters.parse("map=google/api,map=money.proto").map
        (('google/api', 'google.api'), ('money.proto', 'money_pb2'))

        Raises:
            GenerateError: a key or a value is unknown, or a key is given twice.
        """
        values: dict[str, str] = {}
        mapped: dict[str, str] = {}
        parts = [part.strip() for part in text.split(",")]
        suffix = "_pb" if "messages=betterproto" in parts else "_pb2"
        for part in filter(None, parts):
            key, _, value = part.partition("=")
            if key not in _KNOWN:
                raise GenerateError(f"unknown option {key!r} in {text!r}; known options: {_known()}")
            if key == "map":
                source, target = _mapping(value, suffix)
                if source in mapped:
                    raise GenerateError(f"option 'map' is given twice for {source!r} in {text!r}; give it once")
                mapped[source] = target
                continue
            if key in values:
                raise GenerateError(f"option {key!r} is given twice in {text!r}; give it once")
            if not value or (key == "messages" and value not in _MESSAGES):
                raise GenerateError(f"option {key!r} cannot be {value!r}; known options: {_known()}")
            if key == "package" and value != "." and not _dotted(value):
                raise GenerateError(f"option 'package' cannot be {value!r}: it is not a name of a Python package")
            values[key] = value
        return cls(
            messages=values.get("messages", "protobuf"),
            package=values.get("package", ""),
            map=tuple(mapped.items()),
            templates=values.get("templates", ""),
        )


_MESSAGES = ("protobuf", "betterproto", "none")
_KNOWN = {
    "messages": "|".join(_MESSAGES),
    "package": "PACKAGE",
    "map": "FOLDER[=PACKAGE]",
    "templates": "FOLDER",
}
"""The options, and what each may be."""


def _known() -> str:
    return ", ".join(f"{key}={values}" for key, values in _KNOWN.items())


def _mapping(value: str, suffix: str) -> tuple[str, str]:
    """Reads ``folder=package``, ``file.proto=module``, or one of the two without its target.

    Args:
        value: what was given.
        suffix: what the names of message modules end with.
    """
    source, equals, target = value.partition("=")
    source = source.strip("/")
    if not equals:
        target = source.replace("-", "_").replace("/", ".")
        if source.endswith(".proto"):
            target = target.removesuffix(".proto") + suffix
    if not source or not _dotted(target):
        raise GenerateError(
            f"option 'map' cannot be {value!r}; write map=google/rpc=google.rpc for a folder and its Python package, "
            "or map=money.proto=bank.money_pb2 for a file and its module"
        )
    return source, target


def _dotted(name: str) -> bool:
    return all(part.isidentifier() and part not in KEYWORDS for part in name.split("."))
