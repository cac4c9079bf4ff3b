"""Text as a wire can carry it."""

from __future__ import annotations

__all__ = ["utf8"]


def utf8(text: object) -> str:
    """Returns text as UTF-8 can carry it: a surrogate that stands alone becomes a question mark."""
    return (text if isinstance(text, str) else str(text)).encode(errors="replace").decode()
