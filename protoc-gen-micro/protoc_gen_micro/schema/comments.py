"""Comments and places of one file, from what protoc calls source code info."""

from __future__ import annotations

from google.protobuf import descriptor_pb2

from protoc_gen_micro.errors import GenerateError, SeveralGenerateError

__all__ = ["Path", "Source"]

Path = tuple[int, ...]
"""How protoc names a part of a file: field numbers of ``FileDescriptorProto`` and indices, in turn."""


class Source:
    """The comments of a file, and where its parts are.

    Args:
        file: the file; without source code info it has no comments and no places.
    """

    def __init__(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        self._file = file
        self._mistakes: list[GenerateError] = []
        self._comments: dict[Path, str] = {}
        for location in file.source_code_info.location:
            leading, trailing = location.leading_comments, location.trailing_comments
            if leading:
                text = _plain(leading)
                if trailing:
                    text = f"{text}\n\n{_plain(trailing)}".strip("\n")
            elif trailing:
                text = _plain(trailing)
            else:
                continue
            self._comments[tuple(location.path)] = text

    def comment(self, path: Path) -> str:
        """Returns the comment above a part of the file, and the one behind it; or empty."""
        return self._comments.get(path, "")

    def error(self, path: Path, symbol: str, message: str) -> GenerateError:
        """Returns an error that names the place of a part of the file."""
        line, column = self.place(path)
        return GenerateError(message, path=self._file.name, line=line, column=column, symbol=symbol)

    def refuse(self, path: Path, symbol: str, message: str) -> None:
        """Notes a mistake in a part of the file; ``check`` raises all that were noted."""
        self._mistakes.append(self.error(path, symbol, message))

    def check(self) -> None:
        """Raises the mistakes that were noted.

        Raises:
            GenerateError: there is at least one.
        """
        if self._mistakes:
            raise SeveralGenerateError(self._mistakes)

    def place(self, path: Path) -> tuple[int, int]:
        """Returns line and column of a part of the file, or of what it is a part of, from 1; (0, 0) when unknown."""
        best, found = 0, (0, 0)
        for location in self._file.source_code_info.location:
            here = tuple(location.path)
            if len(here) > best and path[: len(here)] == here and len(location.span) > 1:
                best, found = len(here), (location.span[0] + 1, location.span[1] + 1)
        return found


def _plain(comment: str | bytes) -> str:
    """Takes away what the comment's markers left: the space behind them, and blanks at the ends of lines.

    Args:
        comment: the comment; bytes, where it is not UTF-8.
    """
    if isinstance(comment, bytes):
        comment = comment.decode(errors="replace")
    text = comment.strip()
    if "\n" not in text:
        return text
    lines = [line.rstrip() for line in comment.split("\n")]
    if all(line.startswith(" ") for line in lines if line):
        lines = [line[1:] for line in lines]
    return "\n".join(lines).strip("\n")
