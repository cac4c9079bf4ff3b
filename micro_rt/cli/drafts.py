"""How the commands write files: all of them or none, and never through a link that somebody planted."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from micro_rt.kit.ids import new_id

__all__ = ["write_files"]


def write_files(contents: Iterable[tuple[Path, bytes]]) -> list[Path]:
    """Writes files beside their targets first, and moves them only when all could be written.

    Nobody can predict the name of such a draft, and a draft is never opened if something has its name, be it a link. A link in the
    place of a target is replaced; what it leads to stays as it is.

    Args:
        contents: the path of each file, and what to write into it. Folders are created.

    Returns:
        The paths.

    Raises:
        OSError: a file cannot be written; none was moved to its place.
    """
    drafts: list[tuple[Path, Path]] = []
    try:
        for target, content in contents:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            draft = target.with_name(f".micro-rt-{new_id()}")
            with draft.open("xb") as file:  # Exclusive creation follows no link.
                drafts.append((draft, target))
                file.write(content)
        for draft, target in drafts:
            draft.replace(target)
    finally:
        for draft, _ in drafts:
            draft.unlink(missing_ok=True)
    return [target for _, target in drafts]
