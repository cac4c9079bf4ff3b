"""The codecs of one process: the one that it prefers, and those that others may send messages in."""

from __future__ import annotations

from collections.abc import Callable, Collection

from micro_rt.codec.base import Codec
from micro_rt.errors import FailedPrecondition
from micro_rt.logs import logger

__all__ = ["Codecs"]

_log = logger("micro_rt.codec")


class Codecs:
    """Finds codecs by the content subtype of a request. A codec is loaded when the first request needs it.

    A peer chooses the content subtype, so only subtypes that are installed are remembered: their number is bounded.

    Args:
        own: the codec that this process sends with.
        installed: returns the content subtypes of the codecs that can be loaded; called once.
        load: makes the codec of an installed content subtype; raises ``FailedPrecondition`` if it cannot.
    """

    __slots__ = ("_installed", "_known", "_list", "_load", "own")

    def __init__(self, own: Codec, installed: Callable[[], Collection[str]], load: Callable[[str], Codec]) -> None:
        self.own = own
        self._list = installed
        self._load = load
        self._installed: frozenset[str] | None = None
        self._known: dict[str, Codec | None] = {own.content_subtype: own}

    def find(self, content_subtype: str) -> Codec | None:
        """Returns the codec of a content subtype; None if there is none, or if it cannot be loaded."""
        if content_subtype in self._known:
            return self._known[content_subtype]
        if content_subtype not in self._all():
            return None
        codec: Codec | None = None
        try:
            codec = self._load(content_subtype)
        except FailedPrecondition as error:
            _log.warning("requests with content subtype %r are refused: %s", content_subtype, error.message)
        self._known[content_subtype] = codec
        return codec

    def names(self) -> list[str]:
        """Returns the content subtypes that ``find`` has a codec for, sorted."""
        broken = {name for name, codec in self._known.items() if codec is None}
        return sorted({self.own.content_subtype, *self._all()} - broken)

    def _all(self) -> frozenset[str]:
        if self._installed is None:
            self._installed = frozenset(self._list())
        return self._installed
