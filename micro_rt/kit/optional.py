"""Libraries of extras: loaded at their first use, so that whoever does not use them does not wait for them."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["optional"]


def optional(module: str) -> Any:
    """Returns a module of a library that need not be installed; None if it is not.

    ``tests/unit/test_layers.py`` reads these calls as imports.

    Args:
        module: its full name, as a literal.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        return None
