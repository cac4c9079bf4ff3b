"""The interface of a codec."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

__all__ = ["Codec"]


class Codec(ABC):
    """Turns messages into bytes and back.

    The two functions are asked for once per method, so that a call pays for nothing but the work.
    """

    content_subtype: ClassVar[str]
    """What follows ``application/grpc+`` in the content type."""

    @abstractmethod
    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        """Returns the function that encodes messages of one type."""

    @abstractmethod
    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]:
        """Returns the function that decodes messages of one type; it raises ``ValueError`` for damaged bytes."""
