"""Comments and places of one file, from what protoc calls source code info."""

from __future__ import annotations

import re

from google.protobuf import descriptor_pb2

from protoc_gen_micro.errors import GenerateError, SeveralGenerateError

__all__ = ["Path", "Source", "cleaned"]

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
        self._places: dict[Path, tuple[int, int]] | None = None
        for location in file.source_code_info.location:
            # Most places have no comment.
            if leading := location.leading_comments:
                text = _plain(leading)
                if trailing := location.trailing_comments:
                    text = f"{text}\n\n{_plain(trailing)}".strip("\n")
                self._comments[tuple(location.path)] = text
            elif trailing := location.trailing_comments:
                self._comments[tuple(location.path)] = _plain(trailing)

    def comment(self, path: Path) -> str:
        """Returns the comment above a part of the file, and the one behind it; or empty."""
        return self._comments.get(path, "")

    def file_comment(self) -> str:
        """Returns what the comments above ``syntax`` or ``edition`` and above ``package`` say of the file, or empty.

        Those that an empty line separates from the statement count too. A licence is left out.
        """
        said: list[str] = []
        for location in self._file.source_code_info.location:
            path = tuple(location.path)
            if path[:1] in _DECLARATIONS:
                break
            if path in _ABOUT_FILE:
                comments = (*location.leading_detached_comments, location.leading_comments, location.trailing_comments)
                said += (_without_licence(_plain(comment)) for comment in comments)
        return "\n\n".join(text for text in said if any(map(str.isalnum, text)))

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
        if self._places is None:
            self._places = {}
            for location in self._file.source_code_info.location:
                if len(span := location.span) > 1:
                    self._places.setdefault(tuple(location.path), (span[0] + 1, span[1] + 1))
        parts = (path[:length] for length in range(len(path), 0, -1))
        return next((self._places[part] for part in parts if part in self._places), (0, 0))


_ABOUT_FILE = {(12,), (14,), (2,)}
"""The paths of ``syntax``, ``edition`` and ``package``."""

_DECLARATIONS = {(4,), (5,), (6,), (7,)}
"""What the paths of messages, enums, services and extensions begin with."""

_LICENCE = (
    r"(?im)spdx-license-identifier|licen[cs]ed (under|to)|all rights reserved|source code is governed by"
    r"|permission is hereby granted|redistribution and use in|copyright\b.{0,20}(\d{4}|\(c\)|©)|(©|\(c\)) ?\d{4}"
    r"|^[^\w\n]{0,20}copyright:? (by |of )?(the )?(?-i:[A-Z])"
)
"""By one of these, the first paragraph of a licence is known. Compiled when first used: most small runs have no licence."""

_OF_LICENCE = (
    r"(?i)(the|this|gnu|[a-z]+ public) licen[cs]e\b|licen[cs]e (agreement|text|header|version)|/licenses?\b|\blicen[cs]e\.txt"
    r"|(mit|bsd|isc|apache|zlib)\b.{0,20} licen[cs]e|(permission|copyright) (notice|holder|owner)|(above|following) copyright"
    r"|without (any )?warrant|(no|implied|of any kind|disclaims?|express or) warrant|warranties|as[ -]is\b.{0,20}(basis|without)"
    r"|liable for|in no event|this (software|program|library) (is|may)|redistribut|its contributors|applicable law"
)
"""By one of these, a paragraph behind the first one is known as a part of a licence."""


def _without_licence(comment: str) -> str:
    """Returns a comment without the paragraphs of a licence: from the one that names it on, as far as they speak of it."""
    if not re.search(_LICENCE, comment):
        return comment
    kept: list[str] = []
    inside = False
    for text in comment.split("\n\n"):
        inside = bool(re.search(_LICENCE, text) or (inside and re.search(_OF_LICENCE, text)))
        if not inside:
            kept.append(text)
    return "\n\n".join(kept).strip("\n")


def cleaned(text: str) -> str:
    """Returns a text as a docstring can hold it: without what the formatters would change there.

    The lines have no blanks at their ends, no empty lines are around them, tabs in front of them are spaces, and what all
    of them are indented by is taken away.

    Args:
        text: any text. A tab in front of a line is four spaces; the first one is five, because it is also in the place of
            the space that separates a comment from its marker.
    """
    if text.find("\n", 0, -1) < 0:
        return text.strip()  # Most texts are of one line.
    if text[0] not in " \n" and text[-1] not in " \n" and " \n" not in text and text.replace("\n", "").isprintable():
        return text  # Most texts have been cleaned before.
    lines = [line.rstrip() for line in text.split("\n")]
    if "\t" in text:
        lines = [_spaced(line) for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    start = next((index for index, line in enumerate(lines) if line), 0)
    lines = lines[start:]
    if len(lines) < 2:
        return "".join(lines).strip()
    margin = min(len(line) - len(line.lstrip(" ")) for line in lines if line)
    if margin:
        return "\n".join(line[margin:] for line in lines)
    # Of a block comment, only the first line still has the space behind its marker.
    return "\n".join(lines).lstrip(" ")


def _spaced(line: str) -> str:
    """Returns a line with spaces instead of the tabs in front of it."""
    text = line.lstrip(" \t")
    blank = line[: len(line) - len(text)]
    if "\t" not in blank:
        return line
    spaces = blank.replace("\t", "    ")
    return f" {spaces}{text}" if blank[0] == "\t" else f"{spaces}{text}"


def _plain(comment: str | bytes) -> str:
    """Returns the text of a comment.

    Args:
        comment: what is between its markers, in protoc's words; bytes, where it is not UTF-8.
    """
    if isinstance(comment, bytes):
        comment = comment.decode(errors="replace")
    text = _without_stars(comment)
    # Most comments have none of these; looking for one letter takes less time than looking for several.
    if (
        text[:1] in _MARKS
        or ("*" in comment and ("***" in comment or "-*-" in comment))
        or ("/" in comment and "///" in comment)
        or ("(" in comment and "(--" in comment)
        or (":" in comment and ("buf:" in comment or "vim:" in comment))
    ):
        text = _without_marks(text)
    return cleaned(text)


_MARKS = ("/", "!")
_MARK = re.compile(r"(?:/+|!)(?:<|(?=\s)|$)")
_DIRECTIVE = re.compile(r"\s*(?:buf:(?:lint|breaking):ignore\b|vim:)|.*-\*-.*-\*-")


def _without_marks(comment: str) -> str:
    """Returns a comment without the rest of markers such as ``///``, ``///<`` and ``//!``, without banners and boxes.

    Lines for buf or an editor are left out too, and so is what stands between ``(--`` and ``--)``, for the linter of APIs.
    """
    lines = [line for line in _without_internal(comment).split("\n") if not _DIRECTIVE.match(line)]
    mark = comment[:1]
    if mark in _MARKS:
        every = all(line.startswith(mark) for line in lines if line and not line.isspace())
        for index, line in enumerate(lines):
            if line.startswith(mark):
                found = _MARK.match(line)
                lines[index] = line[found.end() :] if found else line[1:] if every else line
    banners = [_is_banner(line) for line in lines]
    lines = ["" if banner else line for line, banner in zip(lines, banners, strict=True)]
    return "\n".join(_without_box(lines) if any(banners) or lines[:1] == [""] else lines)


def _without_internal(comment: str) -> str:
    """Returns a comment without what stands between ``(--`` and ``--)``."""
    parts: list[str] = []
    at = 0
    while (begin := comment.find("(--", at)) >= 0 and (end := comment.find("--)", begin + 3)) >= 0:
        parts.append(comment[at:begin])
        at = end + 3
    return "".join((*parts, comment[at:]))


def _is_banner(line: str) -> bool:
    text = line.strip()
    return len(text) > 2 and not (text.strip("*") and text.strip("/"))


def _without_box(lines: list[str]) -> list[str]:
    """Returns lines without the sides of a box, if all of them end with one."""
    texts = [line.rstrip() for line in lines]
    inner = [text.rstrip("*/") for text in texts]
    if not all(not text or (text != rest and rest[-1:].isspace()) for text, rest in zip(texts, inner, strict=True)):
        return lines
    return [re.sub(r"^\s*[*/]+(?=\s)", "", rest) for rest in inner]


def _without_stars(comment: str) -> str:
    """Returns a comment without the stars that are left of the markers ``/**`` and ``**/``: protoc takes one of them.

    A comment of protoc does not say how it was written. Only that of ``/* … */`` on one line ends without a newline.
    """
    block = not comment.endswith("\n")
    if block:
        comment = comment.rstrip("*")
    if not comment.startswith("*"):
        return comment
    text = comment.lstrip("*")
    if text.startswith("< "):
        text = text[1:]  # of the marker ``/**<``
    if block or not text or text[0].isspace():
        return text
    if "*" not in text.partition("\n")[0]:
        return f" {text}"  # The other lines have the space behind their stars.
    return comment  # The star begins an emphasis, such as ``**this**``.
