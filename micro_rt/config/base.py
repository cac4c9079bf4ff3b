"""The interface of a source of configuration, and what every source promises.

- ``read`` returns all of the source as it is at one moment: never one half of an update, never what a broken read left.
- A source that cannot be read raises a ``micro.Error`` that says what was wrong and where. Its message holds no value, because any
  value may be a secret.
- ``watch`` reports that the source may have changed. Too many reports cost time; a change without a report is a fault. What is
  reported is read and compared by the config, so a source need not know what has changed.
- A source whose ``text`` is True, such as environment variables, knows no types: its values are texts, which are converted
  when a type is asked for. Every other source is strict: ``"8080"`` is no number.
- What a source holds is bounded: by ``MAX_DEPTH``, ``MAX_VALUES`` and ``MAX_SIZE``. The config refuses what is beyond; a source that
  reads from outside bounds it before it reads it.
- A source can be opened again after it was closed, and closed twice.

An object that does not derive from ``Source`` is a source too if it has what ``AnySource`` says.

``micro_rt.testing.contracts.SourceContract`` checks these promises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, Union

__all__ = ["MAX_DEPTH", "MAX_SIZE", "MAX_VALUES", "AnySource", "Path", "Reading", "Source", "Tree", "Value"]

MAX_DEPTH = 32
"""How many mappings and lists may be inside each other."""
MAX_VALUES = 100_000
"""How many values a source may hold, mappings and lists included."""
MAX_SIZE = 16 << 20
"""How many characters the names and texts of a source may have together."""

Value: TypeAlias = Union[str, int, float, bool, Sequence["Value"], Mapping[str, "Value"], None]
"""What configuration is made of: what JSON can say, and nothing else."""
Tree: TypeAlias = Mapping[str, Value]
Path: TypeAlias = tuple[str, ...]
"""The names that lead to a value: ``("limits", "rps")`` for ``"limits.rps"``."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All of a source, as it is at one moment."""

    tree: Tree = field(repr=False)
    """Names and values, nested; not in the ``repr``, because a value may be a secret."""
    places: Mapping[Path, str] = field(default_factory=dict[Path, str])
    """Where each value was given, as far as the source knows: ``"conf/a.yaml:12"``, ``"APP_LIMITS__RPS"``."""


class Source(ABC):
    """Where settings come from; found by the scheme of its address in the entry points ``micro_rt.config``.

    A source is opened before use and closed after it, in the loop that uses it.
    """

    text: bool = False
    """Whether it knows texts alone, which are converted to the type that is asked for."""
    ignores_case: bool = False
    """Whether its names have no case, such as those of environment variables: each is the name of another source that differs in
    case alone, or else is in lower case."""
    secret: bool = False
    """Whether all of its values are secrets, which no output shows."""
    optional: bool = False
    """Whether a program starts without it: what cannot be read at the start counts as empty until it can."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in errors and in ``explain``: its address, without secrets."""

    async def open(self) -> None:  # noqa: B027 - most sources have nothing to connect
        """Connects; does nothing unless overridden.

        Raises:
            Unavailable: it cannot be reached; the message says where it was looked for and what to do.
        """

    async def close(self) -> None:  # noqa: B027 - nor to disconnect
        """Ends every watch and disconnects; does nothing unless overridden."""

    @abstractmethod
    async def read(self) -> Reading:
        """Returns all of it.

        Raises:
            Error: it cannot be reached, or what it holds makes no sense.
        """

    def watch(self) -> AsyncIterator[None] | None:
        """Gives an item whenever it may have changed, beginning before it is read; None, unless overridden, if it never changes.

        It ends when the source is closed. An error that passes by itself, such as a lost connection, does not end it. While the
        source is out of reach, ``read`` raises.
        """
        return None


class AnySource(Protocol):
    """The least that makes an object a source.

    It may have more of what ``Source`` has: ``text``, ``ignores_case``, ``secret``, ``optional``, ``open``, ``close``, ``watch``.
    """

    @property
    def name(self) -> str:
        """What it is called in errors and in ``explain``, without secrets."""
        ...

    async def read(self) -> Reading | Tree:
        """Returns all of it.

        Raises:
            Error: it cannot be reached, or what it holds makes no sense. The message holds no value.
        """
        ...
