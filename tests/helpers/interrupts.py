"""Commands for tests that send signals: whether they hear SIGINT must not depend on what started the tests."""

from __future__ import annotations

__all__ = ["IN_THE_BACKGROUND", "INTERRUPTIBLE"]

INTERRUPTIBLE = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)
"""A program for ``python -c`` that becomes a command which hears SIGINT, although a shell that started the tests in the
background has it ignored."""
IN_THE_BACKGROUND = INTERRUPTIBLE.replace("SIG_DFL", "SIG_IGN")
"""A program for ``python -c`` that becomes a command which ignores SIGINT, as what a shell starts in the background does."""
