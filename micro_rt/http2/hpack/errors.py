"""The one error of this package."""

from __future__ import annotations

__all__ = ["HpackError"]


class HpackError(Exception):
    """A header block breaks a rule of RFC 7541.

    The dynamic tables of the two ends may differ from now on, so no later block of the connection can be decoded.
    The connection must end with COMPRESSION_ERROR (RFC 9113, section 4.3).
    """
