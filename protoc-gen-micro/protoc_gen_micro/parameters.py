"""What the user asks of the generator: ``--micro_opt=messages=none`` as one frozen value."""

from __future__ import annotations

from typing import NamedTuple

from protoc_gen_micro.errors import GenerateError

__all__ = ["Parameters"]


class Parameters(NamedTuple):
    """The options of a run.

    Attributes:
        messages: who writes the message classes: ``"protobuf"``, this plugin for the official runtime (the
            default), or ``"none"``, somebody else, such as protoc's ``--python_out`` in the same run.
    """

    messages: str = "protobuf"

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """Reads protoc's parameter string: ``"key=value,key=value"``; empty parts are skipped.

        >>> Parameters.parse("messages=none")
        Parameters(messages='none')

        Raises:
            GenerateError: a key or a value is unknown, or a key is given twice.
        """
        values: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = part.partition("=")
            if key not in _VALUES:
                raise GenerateError(f"unknown option {key!r} in {text!r}; known options: {_known()}")
            if key in values:
                raise GenerateError(f"option {key!r} is given twice in {text!r}; give it once")
            if not equals or value not in _VALUES[key]:
                raise GenerateError(f"option {key!r} cannot be {value!r}; known options: {_known()}")
            values[key] = value
        return cls(**values)


_VALUES = {"messages": ("protobuf", "none")}
"""The values that each option may have; the first one is the default."""


def _known() -> str:
    return ", ".join(f"{key}={'|'.join(values)}" for key, values in _VALUES.items())
