"""The logs of libraries that a backend uses."""

from __future__ import annotations

import logging

__all__ = ["quieten"]


def quieten(library: str, level: int) -> None:
    """Keeps what a library logs below a level out of the log, unless the program has set a level for that library.

    Args:
        library: the name of its logger.
        level: such as ``logging.CRITICAL``.
    """
    logger = logging.getLogger(library)
    if logger.level == logging.NOTSET:
        logger.setLevel(level)
