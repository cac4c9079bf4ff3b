"""Programs that a test starts."""

from __future__ import annotations

import subprocess
from types import TracebackType
from typing import Any

__all__ = ["Program"]


class Program(subprocess.Popen[Any]):
    """A program that ends with the block around it, whatever happens: ``Popen`` waits for it, for ever after an error."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, trace)
