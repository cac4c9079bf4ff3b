"""Descriptor sets that a command is given: files of protoc or buf, which may also hold what no compiler writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool

__all__ = ["DescriptorSet", "DescriptorSetError", "read_descriptor_set"]

_LONGEST = 300
"""Characters that are shown of what protobuf says, and of the files that are missing."""


class DescriptorSetError(Exception):
    """A file cannot be read as a descriptor set; the text goes on from the name of the file: ``"is empty: …"``."""


class DescriptorSet(NamedTuple):
    """The files of a descriptor set, and the pool that has their types."""

    files: descriptor_pb2.FileDescriptorSet
    pool: descriptor_pool.DescriptorPool


def read_descriptor_set(path: Path) -> DescriptorSet:
    """Reads a descriptor set, which must hold all that its files import.

    Args:
        path: the file.

    Raises:
        OSError: the file cannot be read.
        DecodeError: the file is not a descriptor set.
        DescriptorSetError: the descriptor set is empty or lacks files, or protobuf does not accept its files.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes())
    known = {file.name for file in files.file}
    missing = sorted({name for file in files.file for name in file.dependency} - known)
    if missing or not known:
        what = f"lacks {_shortened(', '.join(missing))}" if missing else "is empty"
        raise DescriptorSetError(f"{what}: write the descriptor set with --include_imports")
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in _ordered(files.file):
            pool.Add(file)
    except (TypeError, ValueError, KeyError) as error:
        problem = str(error).removeprefix("Couldn't build proto file into descriptor pool: ")
        raise DescriptorSetError(f"is not a valid schema: {_shortened(problem)}") from error
    return DescriptorSet(files, pool)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _ordered(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> Iterator[descriptor_pb2.FileDescriptorProto]:
    """Yields the files, each after those that it imports, in a time that is linear in their number.

    Raises:
        ValueError: two files have one name, or files import each other in a circle.
    """
    left: dict[str, descriptor_pb2.FileDescriptorProto] = {}
    for file in files:
        if left.setdefault(file.name, file) is not file:
            raise ValueError(f"two files are called {file.name}")
    under_way: set[str] = set()
    pending = list(reversed(left))
    while pending:
        name = pending[-1]
        if name not in left:
            pending.pop()
            continue
        imports = [path for path in left[name].dependency if path in left]
        if not imports:
            pending.pop()
            under_way.discard(name)
            yield left.pop(name)
        elif name in under_way:
            raise ValueError(f"{name} imports itself, through {imports[0]}")
        else:
            under_way.add(name)
            pending += reversed(imports)
