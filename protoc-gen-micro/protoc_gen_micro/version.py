"""The version of the plugin, and the oldest runtime that its output works with.

They are written out here, because a run that asked for the version of its own distribution would take much longer.
"""

from __future__ import annotations

__all__ = ["RUNTIME", "VERSION"]

VERSION = "0.1.0"
"""The version of the plugin: that of the distribution."""

RUNTIME = "0.1.0"
"""The oldest version of the runtime that generated code works with.

A release that makes generated code use something new of the runtime sets it to its own version; others leave it as it is.
"""
